// A job's events as they happen. Not EventSource, which can send no key: the stream is read with fetch.

import { call, Problem } from "./api.js";

const PAUSES_MS = [250, 500, 1000, 2000, 5000];

// Yields {event, data} until the service says that there will be no more; goes on after a cut where it left off.
export async function* follow(jobId, signal) {
  let lastId = "";
  let failures = 0;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream" };
      if (lastId) headers["Last-Event-ID"] = lastId;
      const response = await call(`/v1/images/jobs/${jobId}/events`, { headers, signal });
      for await (const message of parse(response.body)) {
        failures = 0;
        if (message.id) lastId = message.id;
        if (message.event === "end") return;
        yield { event: message.event, data: JSON.parse(message.data) };
      }
    } catch (error) {
      if (signal.aborted) return;
      // Refused for good: another try would be refused again.
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    }
    await pause(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)], signal);
  }
}

async function* parse(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const message = fields(block);
        if (message.data) yield message;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function fields(block) {
  const message = { event: "message", id: "", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue; // a comment: the service's heartbeat
    const value = line.slice(colon + 1).replace(/^ /, "");
    const name = line.slice(0, colon);
    if (name === "data") message.data += value;
    else if (name in message) message[name] = value;
  }
  return message;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
