// A picture edited with the official client for JavaScript: once all of it, once only what a mask lays open.
//
//   npm install && node edit.js [FOLDER]

import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none",
  timeout: 600_000,
});
const folder = process.argv[2] ?? ".";

async function keep(response, name) {
  const file = path.join(folder, name);
  await writeFile(file, Buffer.from(response.data[0].b64_json, "base64"));
  console.log(file);
  return file;
}

const drawn = await client.images.generate({ prompt: "a red apple", background: "transparent" });
const apple = await keep(drawn, "apple.png");

const pear = await client.images.edit({
  image: createReadStream(apple),
  prompt: "a green pear",
  strength: 0.9, // ours: how much is drawn anew, 0 to 1
});
await keep(pear, "pear.png");

// What is transparent in a mask is drawn anew, and the rest stays as it was, to the pixel. This picture is its own
// mask: the apple stays, and what is around it is new.
const kept = await client.images.edit({
  image: createReadStream(apple),
  mask: createReadStream(apple),
  prompt: "a red apple on a table",
});
await keep(kept, "kept-apple.png");
