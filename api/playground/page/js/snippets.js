// The same request for a terminal and for a program.

import { key } from "./api.js";
import { escaped, escapedForPython } from "./printable.js";

const KEY = "$DARKROOM_API_KEY";
const OPENAI = new Set(["prompt", "background", "model", "moderation", "n", "output_compression", "output_format",
  "quality", "response_format", "size", "style", "user", "partial_images"]);

export function curl(body) {
  const quoted = escaped(JSON.stringify(asked(body))).replaceAll("'", `'\\''`);
  return [
    `curl -s ${location.origin}/v1/images/generations`,
    ...(key.get() ? [`-H "Authorization: Bearer ${KEY}"`] : []),
    "-H 'Content-Type: application/json'",
    `-d '${quoted}'`,
  ].join(" \\\n  ");
}

export function python(body) {
  const named = Object.entries(asked(body)).filter(([name]) => OPENAI.has(name));
  const ours = Object.entries(asked(body)).filter(([name]) => !OPENAI.has(name));
  const lines = named.map(([name, value]) => `    ${name}=${literal(value)},`);
  if (ours.length) lines.push(`    extra_body={${ours.map(([n, v]) => `${literal(n)}: ${literal(v)}`).join(", ")}},`);
  const suffix = body.output_format ?? "png";
  return [
    "import base64",
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${location.origin}/v1", api_key=os.environ.get("DARKROOM_API_KEY", "none"))`,
    "result = client.images.generate(",
    ...lines,
    ")",
    "for index, image in enumerate(result.data):",
    `    with open(f"picture-{index}.${suffix}", "wb") as file:`,
    "        file.write(base64.b64decode(image.b64_json))",
    "",
  ].join("\n");
}

// Previews are for those who watch; a call that waits for its picture has no use for them.
function asked(body) {
  const { partial_images: _, ...rest } = body;
  return rest;
}

const literal = (value) =>
  typeof value === "boolean" ? (value ? "True" : "False") : escapedForPython(JSON.stringify(value));
