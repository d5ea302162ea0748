// The page: the composer, the gallery and the operator's view, and what connects them.

import * as api from "./api.js";
import { Composer } from "./form.js";
import { listen } from "./arrivals.js";
import { Gallery } from "./gallery.js";
import { Inputs } from "./inputs.js";
import { OperatorView } from "./operator.js";
import { Painter } from "./painter.js";
import { Picture } from "./picture.js";
import { printable } from "./printable.js";

const MODELS_MS = 15_000;
const at = (id) => document.getElementById(id);

const gallery = new Gallery({
  list: at("jobs"), older: at("older"), empty: at("gallery-empty"), announcer: at("announcer"),
  again, edit: (file) => useAsInput(file), problem: showBanner,
});
const inputs = new Inputs(
  { list: at("thumbs"), note: at("inputs-note"), others: at("inputs-others"), add: at("image"), mask: at("mask") },
  {
    changed: () => composer.explain(),
    problem: (problem) => composer.showProblem(problem),
    announce: (words) => gallery.announce(words),
    choose: (model) => composer.choose(model),
  },
);
const composer = new Composer(at("composer"), inputs, draw);
const painter = new Painter(at("painter"), () => inputs.show());
const operator = new OperatorView(at("operator-view"));

async function draw(body) {
  at("draw").disabled = true;
  try {
    composer.showProblem(null);
    await gallery.draw(body, await inputs.taken());
    showBanner(null);
  } catch (problem) {
    composer.showProblem(problem);
    askForKey(problem);
  } finally {
    at("draw").disabled = false;
  }
}

// The same once more. What it began with is only on the page, and gone with it.
function again(body, edit, taken) {
  composer.fill(body);
  inputs.set(taken?.pictures.map((each) => each.copy()) ?? []);
  if (!edit || taken) draw(body);
  else composer.showProblem({ param: "image", message: `This page no longer has ${edit.names.join(", ")}: add it again.` });
}

// --- pictures to begin with

listen({ sheet: at("drop"), button: at("image"), chooser: at("files"), onFiles: (files) => begin(files) });
at("mask").addEventListener("click", () => painter.open(inputs.first));

async function begin(files) {
  if (location.hash === "#operator") location.hash = "#create";
  await inputs.receive(files);
}

async function useAsInput(file) {
  try {
    inputs.set([await Picture.of(file)]);
  } catch ({ message }) {
    composer.showProblem({ param: "image", message });
    return;
  }
  composer.showProblem(null);
  gallery.announce(`Begins with ${file.name}`);
  at("prompt").focus();
  at("prompt").select();
}

async function offerModels() {
  try {
    const models = await api.models();
    composer.offer(models);
    showService(models.some((each) => each.ready) ? "ready" : "waiting");
    showBanner(null);
  } catch (problem) {
    showService(problem.code === "invalid_api_key" ? "closed" : "away");
    showBanner(problem);
  }
}

const STATES = { ready: "Ready", waiting: "No worker", closed: "Needs a key", away: "Away" };

function showService(state) {
  const place = at("service");
  if (place.dataset.state === state) return;
  place.dataset.state = state;
  place.textContent = STATES[state];
}

function showBanner(problem) {
  at("banner").textContent = printable(problem?.message ?? "");
  at("banner").hidden = problem === null;
  if (problem !== null) askForKey(problem);
}

// --- the key

let asked = false;

// Once for each key: who closes the dialog is not asked again and again.
function askForKey(problem) {
  if (problem.code !== "invalid_api_key" || asked) return;
  asked = true;
  openKeyDialog(api.key.get() ? "The service does not take this key." : "");
}

function openKeyDialog(words = "") {
  at("key").value = api.key.get();
  at("key-problem").textContent = words;
  if (!at("key-dialog").open) at("key-dialog").showModal();
}

function showWhetherThereIsAKey() {
  at("open-key").toggleAttribute("data-has-key", api.key.get() !== "");
  at("open-key").title = api.key.get() ? "A key is used in this tab" : "";
}

at("open-key").addEventListener("click", () => openKeyDialog());
at("key-form").addEventListener("submit", (event) => {
  if (event.submitter?.value !== "save") return;
  api.key.set(at("key").value.trim());
  asked = false;
  start();
});

// --- views

function route() {
  const operating = location.hash === "#operator";
  at("create-view").hidden = operating;
  at("operator-view").hidden = !operating;
  for (const link of document.querySelectorAll(".bar nav a")) {
    const current = link.hash === (operating ? "#operator" : "#create");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (operating) operator.open();
  else operator.close();
}

function start() {
  showWhetherThereIsAKey();
  gallery.clear();
  offerModels();
  gallery.load();
}

at("ideas").addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement) composer.suggest(target.textContent);
});

addEventListener("hashchange", route);
setInterval(() => { if (!document.hidden) offerModels(); }, MODELS_MS);
route();
start();
