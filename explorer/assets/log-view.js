// The server's log as it grows: coloured levels, a filter, a pause.
import { Unreachable } from "./api.js";
import { el, setText } from "./dom.js";
import { clock, fullTime } from "./format.js";
import { icon } from "./icons.js";
import { LogTail } from "./log-tail.js";
import { Poller } from "./poller.js";

const EVERY_MS = 1_000;
const MOST_LINES = 1_500;

export class LogView {
  #tail = new LogTail();
  #paused = false;
  #routeFilter = "";
  #poller = new Poller(() => this.#look(), EVERY_MS);

  constructor(connection) {
    this.connection = connection;
    this.filter = el("input", {
      class: "input", type: "search", placeholder: "Filter: text, module or level", "aria-label": "Filter the log",
      oninput: () => this.#applyFilter(),
    });
    this.pause = el("button", { type: "button", class: "button", "aria-pressed": "false", onclick: () => this.#togglePause() });
    this.lines = el("ol", { class: "log-lines", tabindex: 0, "aria-label": "Log entries" });
    this.note = el("span", { class: "progress-text", role: "status" });
    this.root = el("section", { class: "log-view", hidden: true },
      el("div", { class: "title-row" }, el("h1", { text: "Server log" })),
      el("div", { class: "log-tools" }, this.filter, this.pause, this.note), this.lines);
    this.#showPause();
  }

  /** Follows the log only while it is seen. `filter` comes from the address; it replaces what stands in the field once. */
  setVisible(visible, filter) {
    if (visible && filter !== this.#routeFilter) {
      this.#routeFilter = filter;
      this.filter.value = filter;
      this.#applyFilter();
    }
    if (visible && !this.#paused) this.#poller.start();
    else this.#poller.stop();
  }

  refresh() {
    this.#poller.now();
  }

  async #look() {
    try {
      const { restarted, entries } = await this.#tail.next();
      if (restarted) this.lines.replaceChildren();
      this.#append(entries);
      this.#note();
    } catch (error) {
      if (error instanceof Unreachable) this.connection.suspect();
      else setText(this.note, error.message);
    }
  }

  #append(entries) {
    if (entries.length === 0) return;
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 40;
    const wanted = this.#words();
    this.lines.append(...entries.map((entry) => {
      const line = lineOf(entry);
      line.hidden = !matches(line, wanted);
      return line;
    }));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild.remove();
    if (atEnd) this.lines.scrollTop = this.lines.scrollHeight;
  }

  #words() {
    return this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  }

  #applyFilter() {
    const wanted = this.#words();
    for (const line of this.lines.children) line.hidden = !matches(line, wanted);
    this.lines.scrollTop = this.lines.scrollHeight;
    this.#note();
  }

  #note() {
    if (this.#paused) return;
    const shown = this.lines.querySelectorAll("li:not([hidden])").length;
    const all = this.lines.childElementCount;
    setText(this.note, all === 0 ? "No entries yet" : shown === all ? `${all} entries` : `${shown} of ${all} entries`);
  }

  #togglePause() {
    this.#paused = !this.#paused;
    this.#showPause();
    if (this.#paused) this.#poller.stop();
    else this.#poller.start();
  }

  #showPause() {
    this.pause.setAttribute("aria-pressed", String(this.#paused));
    this.pause.replaceChildren(icon(this.#paused ? "play" : "pause", 18), this.#paused ? "Resume" : "Pause");
    if (this.#paused) setText(this.note, "Paused");
  }
}

function lineOf(entry) {
  const level = String(entry.level ?? "").toLowerCase();
  const who = String(entry.category ?? "");
  const title = [who, entry.label].filter(Boolean).join(" · ");
  const text = [withoutPrefix(String(entry.entry ?? ""), who), entry.exception].filter(Boolean).join("\n");
  return el("li", { data: { level } },
    el("time", { datetime: entry.timestamp ?? "", title: fullTime(entry.timestamp), text: clock(entry.timestamp) }),
    el("span", { class: "level", text: level }), el("span", { class: "who", title, text: who }), el("span", { class: "text", text }));
}

// An entry that begins with who wrote it need not say it twice.
function withoutPrefix(text, who) {
  return who && text.startsWith(`${who}: `) ? text.slice(who.length + 2) : text;
}

function matches(line, words) {
  const text = line.textContent.toLowerCase();
  return words.every((word) => text.includes(word));
}
