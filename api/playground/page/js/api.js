// Calls of the service's own HTTP API, as the page's visitor.

import { wordsFor } from "./words.js";

const KEY = "darkroom.key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

// What went wrong, in words for people. `code`, `param` and `status` are the API's own.
export class Problem extends Error {
  constructor({ status = 0, code = null, param = null, message = "", retryAfter = null } = {}) {
    super(wordsFor({ status, code, param, message, retryAfter }));
    Object.assign(this, { status, code, param });
  }

  static async of(response) {
    const body = await response.json().catch(() => ({}));
    const error = body.error ?? {};
    return new Problem({ ...error, status: response.status, retryAfter: response.headers.get("retry-after") });
  }
}

export async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (key.get()) sent.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const options = { method, headers: sent, signal, cache: "no-store" };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "unreachable" });
  });
  if (!response.ok) throw await Problem.of(response);
  return response;
}

const json = async (path, options) => (await call(path, options)).json();

export const models = async () => (await json("/v1/models")).data;
export const jobs = (after, limit = 20) => json(`/v1/images/jobs?limit=${limit}${after ? `&after=${after}` : ""}`);
export const job = (id) => json(`/v1/images/jobs/${id}`);
export const result = (id) => json(`/v1/images/jobs/${id}/result`);
export const cancel = (id) => json(`/v1/images/jobs/${id}`, { method: "DELETE" });
export const operator = () => json("/v1/operator");
export const submit = (body) =>
  json("/v1/images/generations", { method: "POST", body, headers: { Prefer: "respond-async" } });
