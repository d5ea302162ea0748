// The pictures that a request begins with: what was added, what the chosen model makes of them, what is painted.

import { make } from "./make.js";
import { showMask } from "./painter.js";
import { Picture } from "./picture.js";
import { printable } from "./printable.js";

const THUMB_PX = 160;

export class Inputs {
  // `hooks`: changed(), problem(problem), announce(words), choose(model): somebody wants another model
  constructor({ list, note, others, add, mask }, hooks) {
    Object.assign(this, { list, note, others, add, mask, hooks });
    this.pictures = [];
    this.urls = new Map();
    this.model = null;
    this.models = [];
  }

  get any() { return this.pictures.length > 0; }
  get first() { return this.pictures[0]; }
  get byItself() { return this.model?.edits?.by === "image-to-image"; }
  get takesMasks() { return this.model === null || (this.model.edits?.masks ?? false); }

  // --- what there is

  // Where the model takes one, a new one takes its place.
  async receive(files) {
    const read = await Promise.allSettled(files.map((file) => Picture.of(file)));
    const pictures = read.filter((each) => each.status === "fulfilled").map((each) => each.value);
    const failed = read.find((each) => each.status === "rejected");
    const replaces = pictures.length === 1 && this.pictures.length === 1 && this.model?.edits?.max_images === 1;
    if (pictures.length) this.set([...(replaces ? [] : this.pictures), ...pictures]);
    this.hooks.problem(failed ? { param: "image", message: failed.reason.message } : null);
    if (pictures.length) this.hooks.announce(`Begins with ${named(this.pictures)}`);
  }

  set(pictures) {
    for (const [picture, url] of this.urls) {
      if (pictures.includes(picture)) continue;
      URL.revokeObjectURL(url);
      this.urls.delete(picture);
    }
    for (const each of pictures) if (!this.urls.has(each)) this.urls.set(each, URL.createObjectURL(each.file));
    this.pictures = pictures;
    this.hooks.changed();
    this.show();
  }

  remove(picture) {
    const at = this.pictures.indexOf(picture);
    this.set(this.pictures.filter((each) => each !== picture));
    (this.list.querySelectorAll("button")[Math.min(at, this.pictures.length - 1)] ?? this.add).focus();
    this.hooks.announce(`Without ${picture.file.name}`);
  }

  // What is sent: nothing where the request begins with no picture.
  async taken() {
    if (!this.any) return null;
    const masked = this.takesMasks && !this.first.mask.empty;
    return { pictures: this.pictures.map((each) => each.copy()), mask: masked ? await this.first.mask.file() : null };
  }

  // --- what the model makes of them

  // Asked for again and again: shown anew only where it says something else, so that no button loses the focus.
  offer(model, models) {
    Object.assign(this, { model, models });
    const offered = JSON.stringify([model?.id, models.map(({ id, edits }) => [id, edits])]);
    if (offered !== this.offered) this.show();
    this.offered = offered;
  }

  // Why the chosen model cannot do it, and which can; nothing where it can.
  obstacle() {
    if (!this.any) return this.model?.edits?.required ? { words: "It draws nothing without a picture: add one." } : null;
    if (this.model === null) return null;
    const count = this.pictures.length;
    const able = this.models.filter(({ edits }) => edits && edits.max_images >= count);
    const most = this.model.edits?.max_images ?? 0;
    if (count <= most) return null;
    const can = most === 0 ? "draws from words alone" : `takes ${most === 1 ? "one picture" : `${most} pictures`}`;
    return { words: `${this.model.title} ${can}.${advice(most, able.length > 0)}`, able };
  }

  hint() {
    if (!this.any) return "Drop or paste one anywhere on this page, or add a file.";
    const left = this.takesMasks || this.first.mask.empty ? "" : " It takes no mask: what you painted is left out.";
    if (this.model === null) return "A model that edits is taken.";
    const several = this.pictures.length > 1 ? " The first is the one that is edited." : "";
    return (this.byItself ? "Say above what the whole picture should be." : "Say above what should change.") + several + left;
  }

  show() {
    const obstacle = this.obstacle();
    this.note.textContent = printable(obstacle?.words ?? this.hint());
    this.note.classList.toggle("problem", obstacle !== null);
    this.others.replaceChildren(...(obstacle?.able ?? []).map((model) => this.other(model)));
    this.mask.hidden = !this.any || !this.takesMasks;
    this.mask.textContent = this.any && this.first.mask.marks.length ? "Paint more" : "Paint a mask";
    const replaces = this.pictures.length === 1 && this.model?.edits?.max_images === 1;
    this.add.textContent = replaces ? "Replace it" : this.any ? "Add another" : "Add a picture";
    this.list.replaceChildren(...this.pictures.map((picture, index) => this.thumb(picture, index)));
    this.list.hidden = !this.any;
  }

  other(model) {
    const item = document.createElement("li");
    const button = item.appendChild(make("button", "small", model.title));
    button.type = "button";
    button.setAttribute("aria-describedby", this.note.id);
    button.addEventListener("click", () => { this.hooks.choose(model); this.add.focus(); });
    return item;
  }

  thumb(picture, index) {
    const item = make("li", "thumb");
    const image = item.appendChild(make("img"));
    image.src = this.urls.get(picture);
    image.alt = printable(picture.file.name);
    const several = this.pictures.length > 1;
    if (several) item.append(make("span", "tag", String(index + 1)));
    if (index === 0 && picture.mask.marks.length && this.takesMasks) item.append(this.maskOver(picture));
    const remove = item.appendChild(make("button", "remove", "×"));
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove ${image.alt}`);
    remove.addEventListener("click", () => this.remove(picture));
    return item;
  }

  maskOver({ mask }) {
    const canvas = make("canvas", "tint");
    const scale = THUMB_PX / Math.max(mask.width, mask.height);
    canvas.width = Math.max(1, Math.round(mask.width * scale));
    canvas.height = Math.max(1, Math.round(mask.height * scale));
    showMask(canvas, mask);
    return canvas;
  }

  // Show the way out where the request cannot be sent.
  insist() { (this.others.querySelector("button") ?? this.add).focus(); }
}

function advice(most, able) {
  const remove = most === 0 ? "" : " Remove the others";
  if (!able) return most === 0 ? " No other here edits pictures." : `${remove}.`;
  return most === 0 ? " To edit, choose:" : `${remove}, or choose:`;
}

const named = (pictures) => pictures.map(({ file }) => file.name).join(", ").slice(0, 80);
