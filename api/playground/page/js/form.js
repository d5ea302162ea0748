// The composer: every documented option, what the chosen model makes of it, and the request's body.

import { printable } from "./printable.js";

const NUMBERS = ["n", "output_compression", "partial_images", "seed", "strength"];
// How much is redrawn where the service does not say it of the model.
const STRENGTH = 0.8;
// Said even where it is the default of the page, because the API's own default differs.
const API_DEFAULTS = { partial_images: "0", model: "", response_format: "" };
const PRESETS = ["512x512", "768x768", "1024x1024", "1024x1536", "1536x1024", "1024x1792", "1792x1024", "2048x2048"];

export class Composer {
  constructor(form, inputs, onSubmit) {
    this.form = form;
    this.inputs = inputs;
    this.models = [];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!form.prompt.value.trim()) this.showProblem({ param: "prompt", message: "Say what should be drawn." });
      else if (inputs.obstacle()) inputs.insist();
      else onSubmit(this.body());
    });
    form.addEventListener("reset", () => {
      this.showProblem(null);
      setTimeout(() => this.explain());
    });
    form.model.addEventListener("change", () => this.explain());
    form.quality.addEventListener("change", () => this.explain());
    form.strength.addEventListener("input", () => this.explainStrength());
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  offer(models) {
    this.models = models;
    const chosen = this.form.model.value;
    const first = models.find((each) => each.default) ?? models[0];
    const options = models.map((each) => new Option(title(each), each.default ? "" : each.id));
    options.push(new Option("random: any that can do it", "random"));
    this.form.model.replaceChildren(...options);
    this.form.model.value = chosen || (first?.default ? "" : first?.id ?? "");
    this.explain();
  }

  get chosen() {
    const name = this.form.model.value;
    return this.models.find((each) => (name === "" ? each.default : each.id === name)) ?? null;
  }

  // Say what the chosen model can do, and offer only that.
  explain() {
    const model = this.chosen;
    text("model-about", model ? model.description : "One of the models that can serve the request.");
    chips("model-can", model ? abilities(model) : []);
    text("quality-hint", model ? `${steps(model, this.form.quality.value)} steps` : "");
    const transparent = model?.transparent ?? true;
    const option = this.form.background.querySelector('[value="transparent"]');
    option.disabled = !transparent;
    if (!transparent && this.form.background.value === "transparent") this.form.background.value = "auto";
    text("background-hint", transparent ? "transparent needs png or webp" : "this model draws no transparency");
    this.form.n.max = (model ?? this.models[0])?.max_n ?? this.form.n.max;
    const negative = model?.negative_prompt ?? true;
    this.form.negative_prompt.disabled = !negative;
    text("negative_prompt-hint", negative ? "" : "this model takes no negative prompt");
    const sizes = PRESETS.filter((size) => !model || fits(model.sizes, size));
    document.getElementById("sizes").replaceChildren(...["auto", ...sizes].map((size) => new Option(size, size)));
    const auto = this.inputs.any ? "the picture's size" : "512x512";
    text("size-hint", model ? `auto is ${auto}; up to ${model.sizes.max_side_px}, multiples of 8` : "");
    this.inputs.offer(model, this.models);
    this.explainStrength();
  }

  // Only of a picture that the model begins with can a part be left as it is.
  explainStrength() {
    const { strength } = this.form;
    strength.disabled = !(this.inputs.any && this.inputs.byItself);
    document.getElementById("strength-field").hidden = strength.disabled;
    strength.defaultValue = this.chosen?.edits?.strength?.low ?? STRENGTH;
    text("strength-said", `${Math.round(strength.value * 100)} %`);
    strength.setAttribute("aria-valuetext", `${Math.round(strength.value * 100)} percent`);
  }

  choose(model) {
    this.form.model.value = model.default ? "" : model.id;
    this.explain();
  }

  // Only what differs from the API's defaults, so that what is copied from it is short.
  body() {
    const body = { prompt: this.form.prompt.value };
    for (const field of this.form.elements) {
      if (!field.name || field.name === "prompt" || field.disabled) continue;
      const value = field.value.trim();
      if (value === "" || value === (API_DEFAULTS[field.name] ?? initial(field))) continue;
      body[field.name] = NUMBERS.includes(field.name) && value !== "" && Number.isFinite(Number(value))
        ? Number(value) : value;
    }
    return body;
  }

  fill(body) {
    this.form.reset();
    for (const field of this.form.elements) {
      if (field.name && field.name in body) field.value = String(body[field.name]);
    }
    // `reset` explains afterwards; what it shows then is of these values.
    this.form.prompt.focus();
  }

  suggest(prompt) {
    this.form.prompt.value = prompt;
    this.form.prompt.focus();
  }

  showProblem(problem) {
    for (const place of this.form.querySelectorAll("[data-problem]")) {
      const field = this.form.elements[place.dataset.problem];
      const concerned = problem !== null && problem.param === place.dataset.problem;
      place.textContent = concerned ? printable(problem.message) : "";
      field.toggleAttribute("aria-invalid", false);
      if (concerned) {
        field.setAttribute("aria-invalid", "true");
        document.getElementById("more").open ||= field.closest("#more") !== null;
        field.focus();
      }
    }
    const placed = problem !== null && this.form.querySelector(`[data-problem="${CSS.escape(problem.param ?? "")}"]`);
    text("form-problem", problem !== null && !placed ? problem.message : "");
  }
}

function initial(field) {
  if (field instanceof HTMLSelectElement) {
    return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value ?? "";
  }
  return field.defaultValue;
}

function text(id, words) { document.getElementById(id).textContent = printable(words); }

function title(model) {
  const notes = [model.default ? "default" : "", model.ready ? "" : "no worker"].filter(Boolean);
  return model.title + (notes.length ? ` (${notes.join(", ")})` : "");
}

function abilities(model) {
  return [
    `${model.sizes.native_width}x${model.sizes.native_height}`,
    model.transparent ? "transparency" : "opaque only",
    model.negative_prompt ? "negative prompts" : "",
    model.edits ? `edits${model.edits.masks ? ", masks" : ""}` : "no edits",
    model.batched ? "previews" : "no previews",
    model.licence,
  ].filter(Boolean);
}

function chips(id, words) {
  document.getElementById(id).replaceChildren(...words.map((each) => {
    const chip = document.createElement("li");
    chip.textContent = each;
    return chip;
  }));
}

function steps(model, quality) { return model.steps[quality === "auto" ? "medium" : quality]; }

function fits(sizes, size) {
  const [width, height] = size.split("x").map(Number);
  const long = Math.max(width, height);
  return long <= sizes.max_side_px && long / Math.min(width, height) <= sizes.max_aspect;
}
