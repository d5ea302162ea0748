// The same request for a terminal and for a program.

import { base, key } from "./api.js";
import { escaped, escapedForPython, quotedForShell } from "./printable.js";

const KEY = "$DARKROOM_API_KEY";
// As the painter saves it.
const MASK = "mask.png";
// What the client has arguments for; the rest goes beside them. An edit has two fewer.
const OPENAI = new Set(["prompt", "background", "model", "moderation", "n", "output_compression", "output_format",
  "quality", "size", "style", "user"]);
const NOT_OF_EDITS = new Set(["moderation", "style"]);

// `edit`: {names, masked} of the pictures that it begins with, which lie where the command runs; else null.
export function curl(body, edit = null) {
  return [
    `curl -s ${base}/v1/images/${edit ? "edits" : "generations"}`,
    ...(key.get() ? [`-H "Authorization: Bearer ${KEY}"`] : []),
    ...(edit ? form(body, edit) : json(body)),
  ].join(" \\\n  ");
}

function json(body) {
  const quoted = escaped(JSON.stringify(asked(body))).replaceAll("'", `'\\''`);
  return ["-H 'Content-Type: application/json'", `-d '${quoted}'`];
}

function form(body, { names, masked }) {
  const files = names.map((name) => [names.length > 1 ? "image[]" : "image", name]);
  if (masked) files.push(["mask", MASK]);
  return [
    ...files.map(([field, name]) => `-F ${quotedForShell(`${field}=@"${name.replace(/[\\"]/g, "\\$&")}"`)}`),
    // -F would read a file where a text begins with @.
    ...Object.entries(asked(body)).map(([name, value]) => `--form-string ${quotedForShell(`${name}=${value}`)}`),
  ];
}

export function python(body, edit = null) {
  const has = (name) => OPENAI.has(name) && !(edit && NOT_OF_EDITS.has(name));
  const named = Object.entries(asked(body)).filter(([name]) => has(name));
  const ours = Object.entries(asked(body)).filter(([name]) => !has(name));
  const lines = [...(edit ? opened(edit) : []), ...named.map(([name, value]) => `    ${name}=${literal(value)},`)];
  if (ours.length) lines.push(`    extra_body={${ours.map(([n, v]) => `${literal(n)}: ${literal(v)}`).join(", ")}},`);
  const suffix = body.output_format ?? "png";
  return [
    "import base64",
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base}/v1", api_key=os.environ.get("DARKROOM_API_KEY", "none"))`,
    `result = client.images.${edit ? "edit" : "generate"}(`,
    ...lines,
    // What is written below; the service may give addresses by default.
    '    response_format="b64_json",',
    ")",
    "for index, image in enumerate(result.data):",
    `    with open(f"picture-{index}.${suffix}", "wb") as file:`,
    "        file.write(base64.b64decode(image.b64_json))",
    "",
  ].join("\n");
}

function opened({ names, masked }) {
  const files = names.map((name) => `open(${literal(name)}, "rb")`);
  const lines = [`    image=${files.length > 1 ? `[${files.join(", ")}]` : files[0]},`];
  if (masked) lines.push(`    mask=open(${literal(MASK)}, "rb"),`);
  return lines;
}

// Without what is for the page itself: previews are for those who watch, and how its pictures come is its affair.
function asked(body) {
  const { partial_images: _, response_format: __, ...rest } = body;
  return rest;
}

const literal = (value) =>
  typeof value === "boolean" ? (value ? "True" : "False") : escapedForPython(JSON.stringify(value));
