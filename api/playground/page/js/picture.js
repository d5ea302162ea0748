// A picture to begin with: its file, how large it is, and what is painted over it.

import { canvasOf, Mask, pngOf } from "./mask.js";

const TAKEN = new Set(["image/png", "image/jpeg", "image/webp"]);

export class Picture {
  constructor(file, width, height, mask = new Mask(width, height)) {
    Object.assign(this, { file, width, height, mask });
  }

  // The browser turns it upright, as the service does.
  static async of(file) {
    const url = URL.createObjectURL(file);
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      const { naturalWidth: width, naturalHeight: height } = image;
      return new Picture(await isSeenAlike(file) ? file : await redrawn(image, file.name), width, height);
    } catch {
      throw new Error(`“${file.name}” is no picture that this browser can read.`);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  // What is painted later is not painted on the copy.
  copy() { return new Picture(this.file, this.width, this.height, this.mask.copy()); }
}

// Whether the service takes this kind of file, and sees in it what the browser does: browsers do not turn a
// webp upright, the service does.
async function isSeenAlike(file) {
  if (!TAKEN.has(file.type)) return false;
  const head = new Uint8Array(await file.slice(0, 21).arrayBuffer());
  const hasExif = String.fromCharCode(...head.slice(12, 16)) === "VP8X" && (head[20] & 8) !== 0;
  return !hasExif;
}

async function redrawn(image, name) {
  const context = canvasOf(image.naturalWidth, image.naturalHeight);
  context.drawImage(image, 0, 0);
  return new File([await pngOf(context.canvas)], `${name.replace(/\.\w+$/, "")}.png`, { type: "image/png" });
}
