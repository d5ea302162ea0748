// Calls of the service's own HTTP API, as the page's visitor.

import { wordsFor } from "./words.js";

const KEY = "darkroom.key";

// Where the service is, which may be below a prefix: two folders above this file. No slash at its end.
export const base = new URL("../..", import.meta.url).href.replace(/\/$/, "");

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
  const options = { method, headers: sent, signal, cache: "no-store" };
  if (body instanceof FormData) {
    options.body = body; // the browser says where its parts end
  } else if (body !== undefined) {
    sent["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(base + path, options).catch((error) => {
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

// `inputs`: the pictures that it begins with, and what is painted over the first; null where it begins with none.
export const submit = (body, inputs) => json(inputs ? "/v1/images/edits" : "/v1/images/generations", {
  method: "POST", body: inputs ? form(body, inputs) : body, headers: { Prefer: "respond-async" },
});

function form(body, { pictures, mask }) {
  const fields = new FormData();
  for (const [name, value] of Object.entries(body)) fields.append(name, value);
  for (const { file } of pictures) fields.append(pictures.length > 1 ? "image[]" : "image", file, file.name);
  if (mask) fields.append("mask", mask, "mask.png");
  return fields;
}
