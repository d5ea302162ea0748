// Which live jobs are followed by their events, and which are asked for now and then: a browser opens six
// connections to a service, over all of its tabs, and a stream holds one for as long as it lasts.

import * as api from "./api.js";

const STREAMS = 2;
const PERIOD_MS = 1500;
const MOST_ASKED_FOR = 100;

export class Watching {
  constructor() {
    this.cards = new Set();
    this.followed = new Map();
    this.timer = null;
    this.sharing = false;
    document.addEventListener("visibilitychange", () => this.share());
  }

  add(card) {
    this.cards.add(card);
    this.shareSoon();
  }

  remove(card) {
    if (!this.cards.delete(card)) return;
    this.stop(card);
    this.shareSoon();
  }

  // A page of jobs comes at once: shared out after each of them, streams would be opened only to be given up,
  // and what is given up while it opens may keep its connection.
  shareSoon() {
    if (this.sharing) return;
    this.sharing = true;
    queueMicrotask(() => {
      this.sharing = false;
      this.share();
    });
  }

  // The streams belong to what is drawn, then to what is next. A tab that nobody sees needs none.
  share() {
    const first = document.hidden ? [] : [...this.cards].sort(sooner).slice(0, STREAMS);
    for (const card of [...this.followed.keys()]) if (!first.includes(card)) this.stop(card);
    for (const card of first) if (!this.followed.has(card)) this.follow(card);
    if (this.timer === null && this.cards.size > this.followed.size) {
      this.timer = setTimeout(() => this.ask(), PERIOD_MS);
    }
  }

  async follow(card) {
    const stream = new AbortController();
    this.followed.set(card, stream);
    await card.follow(stream.signal);
    if (!stream.signal.aborted) this.remove(card);
  }

  stop(card) {
    this.followed.get(card)?.abort();
    this.followed.delete(card);
  }

  // One call for all that are not followed.
  async ask() {
    try {
      const { data } = await api.jobs(null, MOST_ASKED_FOR);
      const jobs = new Map(data.map((job) => [job.id, job]));
      for (const card of [...this.cards]) {
        const job = jobs.get(card.job.id);
        if (job && !this.followed.has(card)) card.update(job);
      }
    } catch {
      // It is asked again; what else goes wrong says so itself.
    }
    this.timer = null;
    this.share();
  }
}

const place = ({ job }) => (job.status === "running" ? -1 : job.queue_position ?? 0);

function sooner(one, other) { return place(one) - place(other) || one.job.created_at - other.job.created_at; }
