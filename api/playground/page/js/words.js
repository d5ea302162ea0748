// What each error of the API means to the person in front of the page, and what to do about it.

const WORDS = {
  unreachable: "The service cannot be reached. Is it still running?",
  invalid_api_key: "This service asks for an API key. Enter a valid one under “API key”.",
  permission_denied: "This API key may not do that.",
  host_not_allowed: "While it has no API key, the service answers only under names that it knows, and this address is none of them. Its operator can add it.",
  origin_not_allowed: "While it has no API key, the service answers no other site's page. If a proxy is in between, it must pass on the header Host as it came.",
  unsupported_endpoint: "The service cannot do that. Is the page newer than the service?",
  unsupported_encoding: "The service did not understand the request. Is something between it and this page compressing it?",
  unsupported_charset: "The service did not understand the request. Is something between it and this page changing it?",
  unsupported_transfer_encoding: "The service did not understand the request. Is something between it and this page changing it?",
  unsupported_expectation: "The service did not understand the request. Is something between it and this page changing it?",
  moderation_blocked: "It was blocked by moderation. Ask for something else.",
  moderation_unavailable: "Prompts cannot be checked at the moment, so nothing is drawn.",
  model_not_found: "There is no such model here. Choose one from the list.",
  unsupported_value: "The chosen model cannot do that.",
  webhook_secret_missing: "Your key has nothing to sign webhooks with. The service's operator can give it a secret.",
  unsupported_parameter: "That option is not supported here.",
  rate_limit_exceeded: "You are asking faster than your key allows.",
  too_many_jobs: "You have too many unfinished pictures. Wait for some of them, or cancel some.",
  queue_full: "The service is full at the moment.",
  no_worker: "No worker that can draw this is running.",
  object_store_unavailable: "The service cannot reach the place where its results lie at the moment.",
  store_unavailable: "The service cannot reach its job store at the moment.",
  api_unavailable: "The service cannot be reached at the moment. It may be restarting.",
  service_stopping: "The service is restarting.",
  generation_failed: "The picture could not be drawn.",
  worker_lost: "Every worker that tried to draw this was lost. Something about it may be too much for them.",
  upload_failed: "It was drawn, but could not be written to where results lie.",
  deadline_exceeded: "It was not ready in time.",
  job_cancelled: "Cancelled.",
  object_not_found: "There is nothing at this address any more.",
  invalid_signature: "This address is not one that the service has signed.",
  url_expired: "This address has expired.",
  file_not_found: "There is no such file here any more.",
  batch_not_found: "There is no such batch here any more.",
  invalid_file: "The service cannot use this file.",
  too_many_files: "You have as many files here as you may. Delete some of them.",
  too_many_batches: "You have too many unfinished batches. Wait for one of them, or cancel it.",
  file_in_use: "A batch reads this file. Cancel it first.",
  batch_ended: "The batch has ended already.",
  job_not_found: "This picture is not known here any more.",
  result_expired: "The picture has expired and can no longer be fetched. “Again” draws the same one.",
  timeout: "It takes longer than a call may last.",
  body_too_large: "That is too much for one request: a picture is too large, or the prompt too long.",
  idempotency_key_reused: "This request was already sent with other options.",
  job_not_finished: "The picture is not ready yet.",
  not_found: "The service does not know this address. Is the page older than the service?",
  method_not_allowed: "The service does not take this. Is the page older than the service?",
  invalid_http: "The service did not understand the request. Is something between it and this page changing it?",
  head_too_large: "The browser sends more with the request than the service takes. Clearing its cookies for this address may help.",
  url_too_long: "The address is longer than the service takes.",
  request_timeout: "The request took too long to arrive. Is the connection very slow?",
  too_many_connections: "Too many browsers and programs are connected to the service.",
  not_json: "The service did not understand the request. Is something between it and this page changing it?",
  not_form: "The service did not understand the request. Is something between it and this page changing it?",
  invalid_form: "The service could not read the request. Is something between it and this page changing it?",
  invalid_image: "The service cannot use this picture.",
  invalid_json: "The service could not read the request. Is something between it and this page changing it?",
  internal_error: "Something went wrong inside the service. Its log has the details.",
};

// What the person can do about each warning; what happened, with its numbers, the service says itself.
const ADVICE = {
  prompt_truncated: "Say the most important things first, or less.",
  negative_prompt_truncated: "Say the most important things first, or less.",
  size_resampled: "The model is at its best at the size under its name.",
  size_extended: "A shape nearer to a square is drawn whole.",
  quality_without_effect: "Another quality makes no difference here.",
  previews_unavailable: "Only the finished picture is shown.",
};

export const WARNINGS = Object.keys(ADVICE);

export function adviceFor({ code, message }) {
  return [message, ADVICE[code]].filter(Boolean).join(" ");
}

export const CODES = Object.keys(WORDS).filter((code) => code !== "unreachable");

// These explain themselves better than any sentence written here could.
const OWN_WORDS = new Set([
  "unsupported_value", "unsupported_parameter", "model_not_found", "invalid_value", "invalid_image",
]);

export function wordsFor({ status, code, param, message, retryAfter }) {
  const own = sentence(message ?? "", param);
  const words = status === 422 || OWN_WORDS.has(code) ? own || WORDS[code] : WORDS[code] || own;
  const again = retryAfter ? ` Try again in ${seconds(Number(retryAfter))}.` : "";
  return (words || `The service answered ${status}.`) + again;
}

// Without the name of the field that it stands at.
function sentence(message, param) {
  const words = param && message.startsWith(`${param}: `) ? message.slice(param.length + 2) : message;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function seconds(count) {
  if (count < 60) return count === 1 ? "1 second" : `${count} seconds`;
  const minutes = Math.round(count / 60);
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}

export function stateOf(job, step) {
  const eta = job.eta_seconds === null || job.eta_seconds === undefined ? "" : `, about ${seconds(job.eta_seconds)}`;
  switch (job.status) {
    case "queued": {
      const ahead = job.queue_position ?? 0;
      return ahead === 0 ? `Next in line${eta}` : `Waiting: ${ahead} ahead of it${eta}`;
    }
    case "running": {
      const steps = step?.steps ? `step ${step.step} of ${step.steps}` : `${job.progress} %`;
      return `Drawing: ${steps}${job.attempt > 1 ? `, attempt ${job.attempt}` : ""}`;
    }
    case "succeeded":
      return job.started_at ? `Done in ${seconds(Math.max(1, job.finished_at - job.started_at))}` : "Done";
    case "cancelled":
      return WORDS.job_cancelled;
    default:
      return wordsFor({ status: 500, ...(job.error ?? {}) });
  }
}
