// What this browser remembers of the requests it sent: the service keeps the pictures, but not for us to read
// back what was asked.

const REQUESTS = "darkroom.requests";
const MOST = 200;

function all() {
  try {
    return JSON.parse(localStorage.getItem(REQUESTS)) ?? {};
  } catch {
    return {};
  }
}

export const requestOf = (jobId) => all()[jobId]?.body ?? null;

// What it began with, {names, masked, size}: the pictures themselves are nowhere but on the page. Null: with none.
export const editOf = (jobId) => all()[jobId]?.edit ?? null;

export function remember(jobId, body, inputs) {
  const kept = { ...all(), [jobId]: { at: Date.now(), body, edit: inputs && described(inputs) } };
  const newest = Object.entries(kept).sort(([, a], [, b]) => b.at - a.at).slice(0, MOST);
  try {
    localStorage.setItem(REQUESTS, JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // Full or forbidden: the pictures are shown without their words after a reload.
  }
}

function described({ pictures, mask }) {
  const [{ width, height }] = pictures;
  return { names: pictures.map(({ file }) => file.name), masked: mask !== null, size: `${width}x${height}` };
}
