// What is painted over a picture, as marks in the picture's own pixels: shown at any scale, undone one by one.

// A canvas of this length shows whether anything is painted at all.
const GLANCE_PX = 512;

export class Mask {
  // `width` and `height`: the picture's, in pixels, once it is upright.
  constructor(width, height, marks = []) {
    Object.assign(this, { width, height, marks });
  }

  copy() { return new Mask(this.width, this.height, [...this.marks]); }

  begin(x, y, diameter, erase) { this.marks.push({ points: [[x, y]], diameter, erase }); }

  extend(x, y) { this.marks.at(-1).points.push([x, y]); }

  invert() { this.marks.push({ invert: true }); }

  clear() { this.marks.push({ clear: true }); }

  undo() { this.marks.pop(); }

  // All of it, opaque where it is painted, over the whole canvas.
  show(context, colour = "#000") {
    const { canvas } = context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(canvas.width / this.width, 0, 0, canvas.height / this.height, 0, 0);
    for (const mark of this.marks) this.add(context, mark, mark.points, colour);
  }

  // Only what came last, on a canvas that shows the rest.
  showNewest(context, colour = "#000") {
    const mark = this.marks.at(-1);
    this.add(context, mark, mark.points.slice(-2), colour);
  }

  add(context, { invert, clear, diameter, erase }, points, colour) {
    context.save();
    context.fillStyle = context.strokeStyle = colour;
    if (clear) {
      context.clearRect(0, 0, this.width, this.height);
    } else if (invert) {
      context.globalCompositeOperation = "source-out";
      context.fillRect(0, 0, this.width, this.height);
    } else {
      context.globalCompositeOperation = erase ? "destination-out" : "source-over";
      Object.assign(context, { lineWidth: diameter, lineCap: "round", lineJoin: "round" });
      context.beginPath();
      context.arc(...points[0], diameter / 2, 0, 2 * Math.PI); // a line of no length would not be seen
      context.fill();
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x, y);
      context.stroke();
    }
    context.restore();
  }

  get empty() {
    if (this.marks.length === 0) return true;
    const scale = Math.min(1, GLANCE_PX / Math.max(this.width, this.height));
    const context = canvasOf(Math.ceil(this.width * scale), Math.ceil(this.height * scale));
    this.show(context);
    const { data } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at] > 0) return false;
    return true;
  }

  // A PNG of the picture's size, transparent where it is painted.
  file() {
    const context = canvasOf(this.width, this.height);
    this.show(context);
    this.add(context, { invert: true }, [], "#000");
    return pngOf(context.canvas);
  }
}

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return canvas.getContext("2d");
}

export async function pngOf(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("The picture is larger than this browser can draw.");
  return blob;
}
