// Tabs after the usual keyboard pattern: arrows move, Home and End jump, only the chosen tab is in the tab order.
import { el } from "./dom.js";

export class Tabs {
  #chosenByUser = false;
  #current = "";

  /**
   * `tabs`: `[{key, label, panel, shown, aside}]`; the first offered one that is not `aside` is shown until the user picks
   * another. `shown` may be missing; it is called when the tab comes into sight.
   */
  constructor(id, tabs) {
    this.tabs = tabs.map((tab, index) => ({ ...tab, button: this.#button(id, tab, index) }));
    this.list = el("div", { class: "tabs", role: "tablist" }, ...this.tabs.map((tab) => tab.button));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Tells which tabs make sense now: `{key: boolean}`. */
  offer(offered) {
    for (const tab of this.tabs) tab.button.hidden = !offered[tab.key];
    const current = this.tabs.find((tab) => tab.key === this.#current);
    if (this.#chosenByUser && current && !current.button.hidden) this.#show(current);
    else this.#show(this.#visible().find((tab) => !tab.aside));
  }

  #visible() {
    return this.tabs.filter((tab) => !tab.button.hidden);
  }

  #button(id, tab, index) {
    tab.panel.id = `${id}-panel-${index}`;
    tab.panel.setAttribute("role", "tabpanel");
    tab.panel.setAttribute("aria-labelledby", `${id}-tab-${index}`);
    return el("button", {
      type: "button", role: "tab", id: `${id}-tab-${index}`, "aria-controls": tab.panel.id, text: tab.label,
      data: { tab: tab.key }, onclick: () => this.#choose(tab.key),
    });
  }

  #choose(key) {
    this.#chosenByUser = true;
    this.#show(this.tabs.find((tab) => tab.key === key));
  }

  #show(chosen) {
    this.#current = chosen.key;
    for (const tab of this.tabs) {
      const on = tab.key === chosen.key;
      const comes = on && tab.panel.hidden;
      tab.button.setAttribute("aria-selected", String(on));
      tab.button.tabIndex = on ? 0 : -1;
      tab.panel.hidden = !on;
      if (comes) tab.shown?.();
    }
  }

  #onKey(event) {
    const visible = this.#visible();
    const index = visible.findIndex((tab) => tab.key === this.#current);
    const last = visible.length - 1;
    const to = { ArrowRight: (index + 1) % visible.length, ArrowLeft: (index + last) % visible.length, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#choose(visible[to].key);
    visible[to].button.focus();
  }
}
