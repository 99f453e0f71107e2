// The visitor's commands: those that run or wait, each with a way to stop it, and the latest that have ended.
import { Unreachable, getJson } from "./api.js";
import { CommandRow } from "./command-row.js";
import { arrange, el, setText } from "./dom.js";
import { Poller } from "./poller.js";

const EVERY_MS = 1_000;
const EVERY_MS_UNSEEN = 3_000;
const MOST_LIVE = 100;
const MOST_ENDED = 25;

export class CommandsView {
  #visible = false;
  #rows = new Map();
  #poller = new Poller(() => this.#look(), () => (this.#visible ? EVERY_MS : EVERY_MS_UNSEEN));
  #note = el("p", { class: "progress-text", role: "status" });
  #title = el("h1", { text: "Commands", tabindex: -1 });
  #live = section("Running and waiting", "Nothing is running, and nothing is waiting.");
  #ended = section("Ended", "No command is kept. One that took long is listed here for a day after its end.");

  /** `count` is an element that tells, wherever the visitor is, how many commands are not at their end. */
  constructor(connection, count) {
    this.connection = connection;
    this.count = count;
    this.root = el("section", { class: "commands-view", hidden: true },
      el("div", { class: "title-row" }, this.#title),
      el("p", { class: "subtitle", text: "What was asked of the modules, here or elsewhere, and what became of it." }),
      this.#note, this.#live.root, this.#ended.root);
  }

  start() {
    this.#poller.start();
  }

  setVisible(visible) {
    const comes = visible && !this.#visible;
    this.#visible = visible;
    if (comes) this.#poller.now();
  }

  refresh() {
    this.#poller.now();
  }

  async #look() {
    try {
      const live = await listed("live", MOST_LIVE);
      setText(this.count, live.total ? `${live.total} active` : "");
      if (this.#visible) this.#show(live, await listed("ended", MOST_ENDED));
    } catch (error) {
      if (error instanceof Unreachable) this.connection.suspect();
      else setText(this.#note, `The commands cannot be listed: ${error.message}`);
    }
  }

  #show(live, ended) {
    const focused = this.root.contains(document.activeElement);
    const shown = new Set([...live.commands, ...ended.commands].map((command) => command.id));
    for (const id of this.#rows.keys()) if (!shown.has(id)) this.#rows.delete(id);
    this.#fill(this.#live, live);
    this.#fill(this.#ended, ended);
    // What was stopped has moved to another place, and took the focus along into nowhere.
    if (focused && !this.root.contains(document.activeElement)) this.#title.focus();
  }

  #fill(part, { total, commands }) {
    arrange(part.list, commands.map((command) => this.#row(command).root));
    part.list.hidden = total === 0;
    part.empty.hidden = total > 0;
    setText(part.more, total > commands.length ? `The latest ${commands.length} of ${total}.` : "");
  }

  #row(command) {
    if (!this.#rows.has(command.id)) this.#rows.set(command.id, new CommandRow(command.id, (text) => this.#say(text)));
    const row = this.#rows.get(command.id);
    row.update(command);
    return row;
  }

  #say(text) {
    setText(this.#note, text);
    this.#poller.now();
  }
}

function listed(state, limit) {
  return getJson(`v1/commands?state=${state}&brief=true&limit=${limit}`);
}

function section(title, emptyText) {
  const list = el("ul", { class: "command-list", "aria-label": title, hidden: true });
  const empty = el("p", { class: "note", text: emptyText, hidden: true });
  const more = el("p", { class: "progress-text" });
  return { list, empty, more, root: el("section", { "aria-label": title }, el("h2", { text: title }), list, empty, more) };
}
