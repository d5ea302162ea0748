// One job on the page: what it is doing, its previews, its pictures, and what can be done with them.

import * as api from "./api.js";
import { compare } from "./compare.js";
import { follow } from "./events.js";
import { make } from "./make.js";
import { editOf, requestOf } from "./memory.js";
import { printable } from "./printable.js";
import { curl, python } from "./snippets.js";
import { adviceFor, stateOf } from "./words.js";

const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

export class Card {
  // `inputs`: what it begins with, as long as the page has it.
  // `hooks`: again(body, edit, inputs), edit(file), announce(words), visible(element, callback), live(card),
  // ended(card)
  constructor(job, inputs, hooks) {
    this.job = job;
    this.inputs = inputs;
    this.hooks = hooks;
    this.request = requestOf(job.id);
    this.edit = editOf(job.id);
    this.step = null;
    this.urls = [];
    this.before = inputs && this.urlOf(inputs.pictures[0].file);
    this.element = this.build();
    this.show();
    if (TERMINAL.has(job.status)) hooks.visible(this.element, () => this.fetchPictures());
    else hooks.live(this);
  }

  build() {
    const element = make("li", "job");
    element.dataset.job = this.job.id;
    this.pictures = make("div", "pictures");
    this.slots = this.job.seeds.map(() => this.pictures.appendChild(make("div", "picture empty")));
    for (const slot of this.slots) {
      slot.style.aspectRatio = shapeOf(this.request, this.edit);
      if (this.before) slot.append(pictured(this.before, "The picture that it begins with"));
    }
    const about = make("div", "about");
    this.words = about.appendChild(make("p", "words", this.request?.prompt ?? "Asked for elsewhere"));
    this.state = about.appendChild(make("p", "state"));
    this.bar = about.appendChild(make("progress"));
    this.bar.max = 100;
    this.bar.setAttribute("aria-label", "Progress");
    this.facts = about.appendChild(make("p", "facts"));
    this.warnings = about.appendChild(make("ul", "warnings"));
    this.warnings.setAttribute("aria-label", "Warnings");
    this.actions = about.appendChild(make("div", "actions"));
    element.append(this.pictures, about);
    return element;
  }

  // --- what it is doing

  // Show it live until it has ended, or the signal says that somebody else's turn has come.
  async follow(signal) {
    try {
      for await (const { event, data } of follow(this.job.id, signal)) {
        if (event === "status") this.update(data);
        else if (event === "progress") this.advance(data);
        else if (event === "preview") this.preview(data);
      }
      if (!signal.aborted && !TERMINAL.has(this.job.status)) this.update(await api.job(this.job.id));
    } catch (error) {
      this.fail(error);
    }
  }

  update(job) {
    const before = this.job.status;
    if (TERMINAL.has(before)) return; // an older word of it, which came late
    if (job.progress !== this.job.progress) this.step = null;
    this.job = job;
    this.show();
    if (!TERMINAL.has(job.status)) return;
    this.hooks.ended(this);
    this.hooks.announce(`${stateOf(job)}: ${this.words.textContent.slice(0, 80)}`);
    this.fetchPictures();
  }

  advance(progress) {
    this.step = progress;
    for (const name of ["progress", "queue_position", "eta_seconds", "attempt"]) {
      if (progress[name] !== undefined) this.job[name] = progress[name];
    }
    this.show();
  }

  preview({ index, b64_json, output_format }) {
    const slot = this.slots[index];
    if (slot === undefined || slot.classList.contains("final")) return;
    slot.classList.add("preview");
    this.put(slot, b64_json, output_format, `Preview: ${this.words.textContent}`);
  }

  // --- its pictures

  async fetchPictures() {
    if (this.job.status !== "succeeded") return;
    try {
      const { data } = await api.result(this.job.id);
      data.forEach(({ b64_json }, index) => this.final(index, b64_json));
    } catch (error) {
      this.fail(error);
    }
  }

  final(index, base64) {
    const format = formatOf(base64);
    const slot = this.slots[index];
    slot.classList.remove("preview");
    slot.classList.add("final");
    const file = this.put(slot, base64, format, this.words.textContent);
    if (this.before) compare(slot, this.before);
    const name = `darkroom-${this.job.seeds[index]}.${format}`;
    const which = `picture ${index + 1} of ${this.slots.length}`;
    const link = make("a", "button small", "Download");
    link.href = slot.querySelector("img").src;
    link.download = name;
    link.setAttribute("aria-label", `Download ${which}`);
    const next = this.button("Use as input", () => this.hooks.edit(new File([file], name, { type: file.type })));
    next.setAttribute("aria-label", `Use as input: ${which}`);
    slot.appendChild(make("div", "over")).append(next, link);
  }

  put(slot, base64, format, alt) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const file = new Blob([bytes], { type: `image/${format}` });
    slot.classList.remove("empty");
    slot.style.aspectRatio = "";
    slot.replaceChildren(pictured(this.urlOf(file), alt.slice(0, 200)));
    return file;
  }

  urlOf(file) {
    const url = URL.createObjectURL(file);
    this.urls.push(url);
    return url;
  }

  // --- how it looks

  show() {
    const { status } = this.job;
    this.state.textContent = printable(stateOf(this.job, this.step));
    this.state.classList.toggle("failed", status === "failed");
    this.bar.hidden = status !== "running" && status !== "queued";
    if (status === "queued") this.bar.removeAttribute("value");
    else this.bar.value = this.job.progress;
    this.pictures.hidden = status === "failed" || status === "cancelled";
    this.facts.textContent = printable(factsOf(this.job, this.request, this.edit));
    const warnings = (this.job.warnings ?? []).map((each) => make("li", "", printable(adviceFor(each))));
    this.warnings.replaceChildren(...warnings);
    this.warnings.hidden = warnings.length === 0;
    this.element.dataset.status = status;
    if (this.shownFor !== status) this.offerActions();
    this.shownFor = status;
  }

  offerActions() {
    const buttons = [];
    if (!TERMINAL.has(this.job.status)) buttons.push(this.button("Cancel", (button) => this.cancel(button)));
    if (this.request) {
      const same = { ...this.request, seed: this.job.seeds[0] };
      if (TERMINAL.has(this.job.status)) {
        const again = this.button("Again", () => this.hooks.again(same, this.edit, this.inputs));
        again.title = "Once more, with the same seed";
        buttons.push(again);
      }
      buttons.push(this.button("Copy as curl", (button) => copy(button, curl(same, this.edit))));
      buttons.push(this.button("Copy as Python", (button) => copy(button, python(same, this.edit))));
    }
    const focused = this.actions.contains(document.activeElement);
    this.actions.replaceChildren(...buttons);
    if (focused) this.actions.querySelector("button")?.focus();
  }

  button(label, action) {
    const button = make("button", "quiet small", label);
    button.type = "button";
    button.addEventListener("click", () => action(button));
    return button;
  }

  async cancel(button) {
    button.disabled = true;
    try {
      this.update(await api.cancel(this.job.id));
    } catch (error) {
      button.disabled = false;
      this.fail(error);
    }
  }

  fail(error) {
    this.state.textContent = printable(error.message);
    this.state.classList.add("failed");
  }

  close() {
    this.hooks.ended(this);
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.element.remove();
  }
}

function pictured(url, alt) {
  const image = make("img");
  image.src = url;
  image.alt = alt;
  return image;
}

// The shape of the picture that is to come, so that nothing jumps when it does.
function shapeOf(request, edit) {
  const [width, height] = (request?.size ?? edit?.size ?? "").split("x").map(Number);
  return width && height ? `${width} / ${height}` : "1";
}

function factsOf({ model, seeds }, request, edit) {
  const asked = ["size", "quality", "style"].map((name) => request?.[name]).filter(Boolean);
  if (request?.strength) asked.push(`${Math.round(request.strength * 100)} % redrawn`);
  if (edit) asked.push(`edit of ${edit.names.join(", ")}`, edit.masked ? "with a mask" : "");
  return [model, ...asked, `seed ${seeds.join(", ")}`].filter(Boolean).join(" · ");
}

// The file says what it is; the job object does not.
function formatOf(base64) {
  if (base64.startsWith("iVBOR")) return "png";
  return base64.startsWith("UklGR") ? "webp" : "jpeg";
}

async function copy(button, words) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(words);
    button.textContent = "Copied";
  } catch {
    // Only pages of this machine or over https may write to the clipboard.
    window.prompt("Copy this:", words);
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
