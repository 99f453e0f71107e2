// One command in the list: what it is, how far it is, its text on request, and a button that stops it.
import { getJson, postForm } from "./api.js";
import { el, setText } from "./dom.js";
import { clock, duration, fullTime, plain } from "./format.js";

const WORDS = {
  queued: { word: "Waiting", tone: "wait" },
  running: { word: "Running", tone: "busy" },
  cancelling: { word: "Stopping", tone: "warn" },
  completed: { word: "Completed", tone: "ok" },
  failed: { word: "Failed", tone: "error" },
  cancelled: { word: "Stopped", tone: "idle" },
  expired: { word: "Expired", tone: "error" },
};

export class CommandRow {
  #id;
  #say;
  #command = {};
  #name = el("a", { class: "name" });
  #route = el("code", {});
  #state = el("span", { class: "badge-state" });
  #facts = el("p", { class: "progress-text" });
  #failure = el("p", { class: "failure", hidden: true });
  #stop = el("button", { type: "button", class: "button", text: "Stop", onclick: () => this.#cancel() });
  #text = el("pre", { tabindex: 0, "aria-label": "Its text", dir: "auto" });
  #details = el("details", { ontoggle: () => this.#read() }, el("summary", { text: "Show its text" }), this.#text);

  /** `say(text)` tells the visitor what became of a click. */
  constructor(id, say) {
    this.#id = id;
    this.#say = say;
    this.root = el("li", { class: "card-box", data: { command: id } },
      el("div", { class: "command-head" }, this.#name, this.#route, this.#state, this.#stop),
      this.#facts, this.#failure, this.#details);
  }

  update(command) {
    const grown = command.text_length !== this.#command.text_length;
    this.#command = command;
    const { word, tone } = WORDS[command.state] ?? { word: command.state, tone: "idle" };
    setText(this.#name, command.module);
    this.#name.href = `#${encodeURIComponent(command.module)}`;
    setText(this.#route, command.route || command.command);
    setText(this.#state, word);
    this.#state.dataset.tone = tone;
    setText(this.#facts, factsOf(command));
    this.#facts.title = fullTime(command.created_at * 1000);
    setText(this.#failure, command.error ?? "");
    this.#failure.hidden = !command.error;
    this.#stop.hidden = command.ended_at !== null;
    this.#setStopping(command.state === "cancelling");
    this.#stop.setAttribute("aria-label", `Stop ${this.#what()}, ${sentAt(command.created_at)}`);
    this.#details.hidden = command.text_length === 0;
    if (grown) this.#read();
  }

  async #read() {
    if (!this.#details.open) return;
    try {
      setText(this.#text, (await getJson(`v1/commands/${this.#id}`)).text ?? "");
    } catch (error) {
      setText(this.#text, error.message);
    }
  }

  async #cancel() {
    if (this.#stop.getAttribute("aria-disabled") === "true") return;
    this.#setStopping(true);
    try {
      await postForm(`v1/commands/${this.#id}/cancel`, new FormData());
      this.#say(`${this.#what()} is being stopped.`);
    } catch (error) {
      this.#setStopping(false);
      this.#say(`${this.#what()} could not be stopped: ${error.message}`);
    }
  }

  // A button that is really disabled would lose the focus.
  #setStopping(stopping) {
    this.#stop.setAttribute("aria-disabled", String(stopping));
  }

  #what() {
    return `${this.#command.route || this.#command.command} of ${this.#command.module}`;
  }
}

function factsOf({ created_at: created, started_at: started, ended_at: ended, position, text_length: length }) {
  const parts = [sentAt(created)];
  if (position !== null) parts.push(position === 0 ? "next in its queue" : `${position} before it in its queue`);
  else parts.push(`${ended === null ? "for" : "took"} ${duration(1000 * ((ended ?? Date.now() / 1000) - (started ?? created)))}`);
  if (length) parts.push(`${plain(length)} characters${ended === null ? " so far" : ""}`);
  return parts.join(" · ");
}

function sentAt(created) {
  return `sent at ${clock(created * 1000)}`;
}
