// Repeats asynchronous work while the page is visible, one run at a time.

export class Poller {
  #work;
  #interval;
  #timer = 0;
  #active = false;
  #running = false;
  #again = false;

  /** `work` is awaited; the next run starts `interval()` milliseconds after the last has ended. */
  constructor(work, interval) {
    this.#work = work;
    this.#interval = typeof interval === "function" ? interval : () => interval;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.now();
    });
  }

  /** Begins, with a run at once. */
  start() {
    if (this.#active) return;
    this.#active = true;
    this.now();
  }

  stop() {
    this.#active = false;
    clearTimeout(this.#timer);
  }

  /** Runs as soon as possible: now, or right after the run that is under way. */
  now() {
    if (!this.#active) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#run();
  }

  async #run() {
    if (document.hidden) return; // visibilitychange starts the next run
    this.#running = true;
    this.#again = false;
    try {
      await this.#work();
    } finally {
      this.#running = false;
      if (this.#active) this.#timer = setTimeout(() => this.#run(), this.#again ? 0 : this.#interval());
    }
  }
}
