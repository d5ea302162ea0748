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

export function remember(jobId, body) {
  const kept = { ...all(), [jobId]: { at: Date.now(), body } };
  const newest = Object.entries(kept).sort(([, a], [, b]) => b.at - a.at).slice(0, MOST);
  try {
    localStorage.setItem(REQUESTS, JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // Full or forbidden: the pictures are shown without their words after a reload.
  }
}
