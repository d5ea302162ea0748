// A picture with the official client for JavaScript, and its preview on the way.
//
//   npm install && node draw.js [FILE]

import { writeFile } from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none",
  // Node itself gives up a call that is silent for 5 minutes; a stream never is, for it says every 15 s that it lives.
  timeout: 600_000,
});
const file = process.argv[2] ?? "black-swan.png";

const events = await client.images.generate({
  prompt: "Black Swan",
  size: "1024x1024",
  stream: true,
  partial_images: 1,
});
for await (const event of events) {
  if (event.type === "image_generation.completed") {
    await writeFile(file, Buffer.from(event.b64_json, "base64"));
    console.log(file);
  } else {
    console.log("a preview of", event.b64_json.length, "characters");
  }
}
