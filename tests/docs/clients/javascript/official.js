// What the official client for JavaScript sends by itself; prints what each call came to, a line of JSON each.

import { writeFile } from "node:fs/promises";
import OpenAI from "openai";

const folder = process.argv[2];
const client = new OpenAI();

async function draw(model, more = {}) {
  const { data } = await client.images.generate({ model, prompt: "Black Swan", ...more });
  await writeFile(`${folder}/${model}.png`, Buffer.from(data[0].b64_json, "base64"));
  console.log(JSON.stringify({ model, pictures: data.length }));
}

await draw("gpt-image-1");
await draw("dall-e-3", { quality: "standard", response_format: "b64_json" });
await draw("dall-e-3", { quality: "hd", style: "vivid", size: "1024x1024" });
