// The operator's view: queues, workers, how full their batches are, and what went wrong lately. Live.

import * as api from "./api.js";
import { printable } from "./printable.js";
import { seconds } from "./words.js";

const PERIOD_MS = 2000;
const NOTHING = "–";

export class OperatorView {
  constructor(root) {
    this.root = root;
    this.timer = null;
  }

  open() {
    if (this.timer === null) this.tick();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  async tick() {
    this.timer = setTimeout(() => this.tick(), PERIOD_MS);
    try {
      this.show(await api.operator());
      this.say("operator-problem", "");
    } catch (error) {
      this.say("operator-problem", error.message);
    }
  }

  show({ at, models, workers, errors, webhooks, batches }) {
    this.say("operator-at", `As of ${clock(at)}, renewed every ${PERIOD_MS / 1000} seconds`);
    tiles("tiles", [
      ["queued", sum(models, "queued")],
      ["running", sum(models, "running")],
      [workers.length === 1 ? "worker" : "workers", workers.length, workers.length === 0],
      ["of the passes filled", `${filled(workers)} %`],
      ["recent errors", errors.length, errors.length > 0],
      ...(webhooks.pending ? [["webhooks to be told", webhooks.pending, webhooks.late_s > 60]] : []),
      ...(batches.unfinished ? [["unfinished batches", batches.unfinished, batches.late_s > 60]] : []),
    ]);
    const headings = ["Model", "# Queued", "# Running", "Oldest waits", "# Workers", "# Predictions off by"];
    table("queues", headings, models.map((each) => [
      each.model, each.low ? `${each.queued} + ${each.low} low` : each.queued, each.running, each.queued ? seconds(Math.round(each.oldest_s)) : NOTHING, each.workers,
      each.eta_error === null ? NOTHING : `${Math.round(100 * each.eta_error)} %`,
    ]));
    table("workers", ["Worker", "Device", "Models", "Pass", "# Jobs", "Last heartbeat"], workers.map((each) => [
      each.name, each.device, each.models.join(", "), occupancy(each), each.jobs, `${each.seen_s.toFixed(1)} s ago`,
    ]));
    table("modes", ["Model", "Text", "Denoising", "Decoding", "Workers"], ways(workers));
    table("errors", ["When", "Code", "Model", "# Attempts", "Worker", "Job"], errors.map((each) => [
      clock(each.at), each.code, each.model, each.attempts, each.worker || NOTHING, each.job_id,
    ]));
  }

  say(id, words) { document.getElementById(id).textContent = printable(words); }
}

const sum = (all, name) => all.reduce((total, each) => total + each[name], 0);

const filled = (workers) => Math.round((100 * sum(workers, "rows")) / Math.max(1, sum(workers, "capacity")));

// A row for each way in which a model runs, with the workers that run it so.
function ways(workers) {
  const rows = new Map();
  for (const worker of workers) {
    for (const [model, { text, denoise, decode }] of Object.entries(worker.runs_as)) {
      const cells = [model, ...[text, denoise, decode].map(way)];
      const row = rows.get(cells.join("\n")) ?? { cells, names: [] };
      row.names.push(worker.name);
      rows.set(cells.join("\n"), row);
    }
  }
  return [...rows.values()].map(({ cells, names }) => [...cells, names.join(", ")]).sort((a, b) => a[0].localeCompare(b[0]));
}

const way = ({ modes, images }) => `${modes.join(", ") || "plain"}; ${images} together`;

function tiles(id, entries) {
  document.getElementById(id).replaceChildren(...entries.map(([words, value, alarming]) => {
    const tile = document.createElement("div");
    tile.classList.toggle("alarm", Boolean(alarming));
    for (const [name, content] of [["dt", words], ["dd", value]]) {
      tile.appendChild(document.createElement(name)).textContent = content;
    }
    return tile;
  }));
}

function occupancy({ rows, capacity }) {
  const box = document.createElement("span");
  const meter = document.createElement("meter");
  Object.assign(meter, { min: 0, max: Math.max(1, capacity), value: rows });
  meter.setAttribute("aria-label", `${rows} of ${capacity} rows`);
  box.append(meter, ` ${rows} of ${capacity}`);
  return box;
}

// A heading that begins with # is over numbers.
function table(id, headings, rows) {
  const head = document.createElement("tr");
  for (const heading of headings) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = heading.replace("# ", "");
    cell.classList.toggle("number", heading.startsWith("# "));
    head.append(cell);
  }
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    row.forEach((value, column) => {
      const cell = line.insertCell();
      cell.append(value instanceof Node ? value : printable(value));
      cell.classList.toggle("number", headings[column].startsWith("# "));
    });
    return line;
  });
  if (body.length === 0) {
    const cell = document.createElement("tr").insertCell();
    cell.colSpan = headings.length;
    cell.textContent = "None";
    cell.className = "none";
    body.push(cell.parentElement);
  }
  const [thead, tbody] = [document.createElement("thead"), document.createElement("tbody")];
  thead.append(head);
  tbody.append(...body);
  document.getElementById(id).replaceChildren(thead, tbody);
}

const clock = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString();
