// The caller's jobs, newest first: those of this page and those the service still knows from before.

import * as api from "./api.js";
import { Card } from "./card.js";
import { remember } from "./memory.js";
import { printable } from "./printable.js";
import { Watching } from "./watching.js";

const STOP_CODES = new Set(["invalid_api_key", "permission_denied"]);

export class Gallery {
  constructor({ list, older, empty, announcer, again, edit, problem }) {
    Object.assign(this, { list, older, empty, announcer, again, edit, problem });
    this.cards = new Map();
    this.last = null;
    this.watching = new Watching();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    this.waiting = new WeakMap();
    older.addEventListener("click", () => this.load());
  }

  // Ask for a picture; its card stands first.
  async draw(body, inputs) {
    const job = await api.submit(body, inputs);
    remember(job.id, body, inputs);
    this.add(job, true, inputs);
    this.announce(`Asked for: ${body.prompt.slice(0, 80)}`);
  }

  // Show the next page of what the service knows.
  async load() {
    this.older.disabled = true;
    try {
      const page = await api.jobs(this.last);
      for (const job of page.data) this.add(job, false);
      this.last = page.data.at(-1)?.id ?? this.last;
      this.older.hidden = !page.has_more;
    } catch (error) {
      if (error.code === "job_not_found") this.older.hidden = true;
      else this.problem(error);
      if (!STOP_CODES.has(error.code)) this.older.hidden = false;
    } finally {
      this.older.disabled = false;
      this.empty.hidden = this.cards.size > 0;
    }
  }

  clear() {
    for (const card of this.cards.values()) card.close();
    this.cards.clear();
    this.last = null;
  }

  add(job, first, inputs = null) {
    if (this.cards.has(job.id)) return;
    const card = new Card(job, inputs, {
      again: this.again,
      edit: this.edit,
      announce: (words) => this.announce(words),
      visible: (element, callback) => this.whenVisible(element, callback),
      live: (live) => this.watching.add(live),
      ended: (ended) => this.watching.remove(ended),
    });
    this.cards.set(job.id, card);
    if (first) this.list.prepend(card.element);
    else this.list.append(card.element);
    this.empty.hidden = true;
  }

  announce(words) { this.announcer.textContent = printable(words); }

  whenVisible(element, callback) {
    this.waiting.set(element, callback);
    this.watcher.observe(element);
  }

  seen(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.watcher.unobserve(target);
      this.waiting.get(target)?.();
    }
  }
}
