// The page: the composer, the gallery and the operator's view, and what connects them.

import * as api from "./api.js";
import { Composer } from "./form.js";
import { Gallery } from "./gallery.js";
import { OperatorView } from "./operator.js";

const MODELS_MS = 15_000;
const at = (id) => document.getElementById(id);

const gallery = new Gallery({
  list: at("jobs"), older: at("older"), empty: at("gallery-empty"), announcer: at("announcer"),
  again: (body) => { composer.fill(body); draw(body); },
  problem: showBanner,
});
const composer = new Composer(at("composer"), draw);
const operator = new OperatorView(at("operator-view"));

async function draw(body) {
  at("draw").disabled = true;
  try {
    composer.showProblem(null);
    await gallery.draw(body);
    showBanner(null);
  } catch (problem) {
    composer.showProblem(problem);
    askForKey(problem);
  } finally {
    at("draw").disabled = false;
  }
}

async function offerModels() {
  try {
    composer.offer(await api.models());
    showBanner(null);
  } catch (problem) {
    showBanner(problem);
  }
}

function showBanner(problem) {
  at("banner").textContent = problem?.message ?? "";
  at("banner").hidden = problem === null;
  if (problem !== null) askForKey(problem);
}

// --- the key

let asked = false;

function askForKey(problem) {
  if (problem.code !== "invalid_api_key" || asked) return;
  asked = true;
  openKeyDialog();
}

function openKeyDialog() {
  at("key").value = api.key.get();
  at("key-dialog").showModal();
}

at("open-key").addEventListener("click", openKeyDialog);
at("key-form").addEventListener("submit", (event) => {
  if (event.submitter?.value !== "save") return;
  api.key.set(at("key").value.trim());
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
  gallery.clear();
  offerModels();
  gallery.load();
}

addEventListener("hashchange", route);
setInterval(() => { if (!document.hidden) offerModels(); }, MODELS_MS);
route();
start();
