// The dialog in which a mask is painted over a picture, by mouse, pen, finger or keys.

import { Mask } from "./mask.js";

const STRIPES = ["#ff2a6d", "#ffffff"];
const STRIPE_PX = 6;
const LARGEST_SCALE = 8;
const HEIGHT_SHARE = 0.58;
const STEP = 2;
const ERASER_OF_A_PEN = 32;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// A mask as it is seen over its picture; the stylesheet lets the picture shine through.
export function showMask(canvas, mask) {
  const context = canvas.getContext("2d");
  mask.show(context, stripes(context, mask));
}

// Seen on a picture of any colour. As wide on every canvas, however large the picture is.
function stripes(context, { width }) {
  const side = STRIPE_PX * devicePixelRatio;
  const tile = new OffscreenCanvas(2 * side, 2 * side).getContext("2d");
  for (const at of [-1, 0, 1, 2, 3, 4]) {
    tile.fillStyle = STRIPES[(at + 2) % 2];
    tile.beginPath();
    for (const [x, y] of [[at, 0], [at + 1, 0], [at - 1, 2], [at - 2, 2]]) tile.lineTo(x * side, y * side);
    tile.fill();
  }
  const pattern = context.createPattern(tile.canvas, "repeat");
  pattern.setTransform(new DOMMatrix().scale(width / context.canvas.width));
  return pattern;
}

export class Painter {
  // `onClosed()` is called when somebody has painted.
  constructor(dialog, onClosed) {
    this.dialog = dialog;
    const at = (name) => dialog.querySelector(`#painter-${name}`);
    Object.assign(this, {
      stage: at("stage"), sheet: at("sheet"), image: at("image"), canvas: at("canvas"), ring: at("ring"),
      brush: at("brush"), paint: at("paint"), erase: at("erase"), undo: at("undo"), save: at("save"),
    });
    this.mask = new Mask(1, 1);
    this.colour = "";
    this.place = [0, 0];
    this.erases = false;
    this.painting = false;
    new ResizeObserver(() => this.fit()).observe(this.stage);
    this.paint.addEventListener("click", () => this.choose(false));
    this.erase.addEventListener("click", () => this.choose(true));
    this.brush.addEventListener("input", () => this.showRing());
    this.undo.addEventListener("click", () => this.change((mask) => mask.undo()));
    at("clear").addEventListener("click", () => this.change((mask) => mask.clear()));
    at("invert").addEventListener("click", () => this.change((mask) => mask.invert()));
    at("done").addEventListener("click", () => dialog.close());
    this.save.addEventListener("click", () => this.download());
    dialog.addEventListener("keydown", (event) => this.onKey(event));
    dialog.addEventListener("close", () => { this.release(); onClosed(); });
    this.listenToPointers();
  }

  open(picture) {
    this.mask = picture.mask;
    this.image.src = URL.createObjectURL(picture.file);
    this.place = [picture.width / 2, picture.height / 2];
    this.dialog.showModal();
    this.choose(false);
    this.fit();
    this.canvas.focus();
  }

  release() {
    this.painting = false;
    URL.revokeObjectURL(this.image.src);
    this.image.removeAttribute("src");
  }

  // As large as there is room; a small picture is made larger, so that it can be painted at all.
  fit() {
    if (!this.dialog.open) return;
    const { width, height } = this.mask;
    const scale = Math.min(this.stage.clientWidth / width, (innerHeight * HEIGHT_SHARE) / height, LARGEST_SCALE);
    this.sheet.style.width = `${width * scale}px`;
    this.sheet.style.height = `${height * scale}px`;
    this.canvas.width = Math.max(1, Math.round(width * scale * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(height * scale * devicePixelRatio));
    this.colour = stripes(this.canvas.getContext("2d"), this.mask);
    this.show();
  }

  show() {
    this.mask.show(this.canvas.getContext("2d"), this.colour);
    this.undo.disabled = this.mask.marks.length === 0;
    this.showRing();
  }

  change(how) {
    how(this.mask);
    this.show();
  }

  choose(erases) {
    this.erases = erases;
    this.paint.setAttribute("aria-pressed", String(!erases));
    this.erase.setAttribute("aria-pressed", String(erases));
  }

  // In pixels of the picture; the slider has it in hundredths of the shorter side.
  get diameter() { return (Number(this.brush.value) / 100) * Math.min(this.mask.width, this.mask.height); }

  showRing() {
    const scale = this.canvas.clientWidth / this.mask.width;
    const side = Math.max(4, this.diameter * scale);
    const [x, y] = this.place.map((each) => each * scale);
    Object.assign(this.ring.style, {
      width: `${side}px`, height: `${side}px`, left: `${x - side / 2}px`, top: `${y - side / 2}px`,
    });
  }

  // --- by pointer

  listenToPointers() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) return;
      if (!event.isPrimary) return;
      canvas.setPointerCapture(event.pointerId);
      this.painting = true;
      this.dab(this.placeOf(event), this.erases || (event.buttons & ERASER_OF_A_PEN) !== 0);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary) return;
      const passed = this.painting ? event.getCoalescedEvents?.() ?? [] : [];
      for (const each of passed.length ? passed : [event]) {
        this.place = this.placeOf(each);
        if (!this.painting) continue;
        this.mask.extend(...this.place);
        this.mask.showNewest(canvas.getContext("2d"), this.colour);
      }
      this.showRing();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => { if (event.isPrimary) this.painting = false; });
    }
  }

  placeOf({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((clientX - box.left) / box.width) * this.mask.width,
      ((clientY - box.top) / box.height) * this.mask.height,
    ];
  }

  dab(place, erases) {
    this.place = place;
    this.mask.begin(...place, this.diameter, erases);
    this.show();
  }

  // --- by keys

  onKey(event) {
    const arrow = event.target === this.canvas && ARROWS[event.key];
    if (event.key === "[" || event.key === "]") this.resize(event.key === "[" ? -STEP : STEP);
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) this.change((mask) => mask.undo());
    else if (event.key === " " && event.target === this.canvas) this.dab(this.place, this.erases);
    else if (arrow) this.move(arrow);
    else return;
    event.preventDefault();
  }

  resize(by) {
    this.brush.value = String(Number(this.brush.value) + by);
    this.showRing();
  }

  move([right, down]) {
    const { width, height } = this.mask;
    const by = Math.max(1, this.diameter / 2);
    const [x, y] = this.place;
    this.place = [Math.min(width, Math.max(0, x + right * by)), Math.min(height, Math.max(0, y + down * by))];
    this.showRing();
  }

  async download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await this.mask.file());
    link.download = "mask.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  }
}
