// What the AI SDK sends by itself: {"model", "prompt", "n": 1}, and for the DALL·E names "response_format": "b64_json".
// Several pictures of dall-e-3 are as many calls with one body. Prints what each call came to, a line of JSON each.

import { writeFile } from "node:fs/promises";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_generateImage, generateImage } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false;
const folder = process.argv[2];
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });

async function draw(generate, model, more = {}) {
  const { images, usage } = await generate({ model: openai.image(model), prompt: "Black Swan", ...more });
  await writeFile(`${folder}/${model}.png`, images[0].uint8Array);
  const different = new Set(images.map((image) => image.base64)).size;
  console.log(JSON.stringify({ model, type: images[0].mediaType, different, tokens: usage.totalTokens }));
}

await draw(generateImage, "gpt-image-1");
await draw(generateImage, "dall-e-3");
await draw(experimental_generateImage, "dall-e-3", {
  n: 2,
  size: "1024x1024",
  providerOptions: { openai: { quality: "hd", style: "vivid" } },
});
await draw(generateImage, "gpt-image-1", { n: 2, size: "1024x1024", providerOptions: { openai: { quality: "low" } } });
