// How the official client for JavaScript sends pictures; edits what lies in a folder, and prints a line of JSON for
// each call.

import { createReadStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import OpenAI, { toFile } from "openai";

const folder = process.argv[2];
const client = new OpenAI();
const [picture, another, mask, broken] = ["picture.png", "another.webp", "mask.png", "broken.png"].map(
  (name) => `${folder}/${name}`,
);

const tell = (what) => console.log(JSON.stringify(what));

async function keep(name, answer) {
  await writeFile(`${folder}/${name}.png`, Buffer.from((answer.data?.[0] ?? answer).b64_json, "base64"));
  tell({ name, image_tokens: answer.usage.input_tokens_details.image_tokens });
}

const usual = { model: "gpt-image-1", prompt: "red apple", seed: 5 };
const edit = (fields) => client.images.edit({ ...usual, ...fields });

await keep("stream of a file", await edit({ image: createReadStream(picture) }));
await keep("bytes", await edit({ image: await toFile(await readFile(picture)) }));
await keep("typed", await edit({ image: await toFile(createReadStream(picture), "p.png", { type: "image/png" }) }));
await keep("masked", await edit({ image: createReadStream(picture), mask: createReadStream(mask) }));
const both = [createReadStream(picture), await toFile(createReadStream(another), null, { type: "image/webp" })];
await keep("two", await edit({ image: both, model: "looks" }));

const events = [];
const streamed = { image: createReadStream(picture), mask: createReadStream(mask), model: "looks" };
for await (const event of await edit({ ...streamed, stream: true, partial_images: 2 })) events.push(event);
tell({ name: "events", types: events.map((event) => event.type) });
await keep("streamed", events.at(-1));

try {
  await edit({ image: createReadStream(broken) });
} catch (error) {
  tell({ name: "broken", error: error.constructor.name, code: error.code, param: error.param });
}
