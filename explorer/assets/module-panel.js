// One module: heading with its state, and four tabs (its page, its routes, its settings, its details).
import { el, setText } from "./dom.js";
import { Details } from "./details.js";
import { ago, fullTime } from "./format.js";
import { ModuleFrame } from "./module-frame.js";
import { categoryOf, nameOf, pageOf } from "./module-store.js";
import { RouteForms } from "./route-forms.js";
import { SettingsView, restartButton } from "./settings-view.js";
import { Tabs } from "./tabs.js";

export class ModulePanel {
  #opened = false;
  #config = null;
  #frame = null;
  #pageKey = "";
  #routesKey = "";
  #details = new Details();
  #page = el("div", { class: "page" });
  #routes = el("div", { class: "routes" });

  constructor(id, theme, store) {
    this.theme = theme;
    this.store = store;
    this.settings = new SettingsView(id);
    this.title = el("h1", {});
    this.subtitle = el("p", { class: "subtitle" });
    this.badge = el("span", { class: "badge-state" });
    this.facts = { version: el("dd"), queue: el("dd"), served: el("dd"), seen: el("dd") };
    this.reason = el("span", { class: "reason-text" });
    this.logLink = el("a", { text: "Show its log" });
    this.restart = restartButton(id);
    this.callout = el("div", { class: "callout", hidden: true }, this.reason, el("div", { class: "actions" }, this.logLink, this.restart));
    this.tabs = new Tabs(`tabs-${id}`, [
      { key: "page", label: "Page", panel: this.#page },
      { key: "routes", label: "Routes", panel: this.#routes },
      { key: "settings", label: "Settings", panel: this.settings.root, shown: () => this.settings.shown(), aside: true },
      { key: "details", label: "Details", panel: this.#details.root },
    ]);
    this.tabs.offer({ page: false, routes: false, settings: true, details: true });
    this.root = el("article", { class: "module-panel", hidden: true, data: { module: id } },
      el("header", { class: "module-head" },
        el("div", { class: "title-row" }, this.title, this.badge), this.subtitle, factList(this.facts)),
      this.callout, this.tabs.list, this.#page, this.#routes, this.settings.root, this.#details.root);
  }

  /**
   * Shows the latest facts. The module's page is loaded when it is first looked at (`open`), and made anew only when it
   * has itself changed.
   */
  update(module, open) {
    const { status, state } = module;
    setText(this.title, nameOf(module));
    setText(this.subtitle, module.config?.publishingInfo?.description || categoryOf(module));
    setText(this.badge, state.full);
    this.badge.dataset.tone = state.tone;
    setText(this.facts.version, status.version || "–");
    setText(this.facts.queue, status.queue || "–");
    setText(this.facts.served, String(status.requestCount ?? 0));
    setText(this.facts.seen, ago(status.lastSeen));
    this.facts.seen.title = fullTime(status.lastSeen);
    this.callout.hidden = state.reason === "";
    this.callout.dataset.tone = state.well ? "warn" : state.tone;
    this.restart.hidden = !state.answers && state.word !== "Failed"; // the others are on their way, or stopped on purpose
    setText(this.reason, state.reason);
    this.logLink.href = `#/log/${encodeURIComponent(nameOf(module))}`;
    this.#details.update(module);
    this.settings.update(module);
    this.#frame?.update(module);
    if (module.config === this.#config && (this.#opened || !open)) return;
    this.#config = module.config;
    this.#opened ||= open;
    if (this.#opened) this.#updatePage(module);
    this.#updateRoutes(module);
    this.tabs.offer({ page: pageOf(module) !== null, routes: this.#routesKey !== "", settings: true, details: true });
  }

  close() {
    this.#frame?.close();
    this.root.remove();
  }

  #updatePage(module) {
    const page = pageOf(module);
    const key = page ? JSON.stringify(page) : "";
    if (key === this.#pageKey) return;
    this.#pageKey = key;
    this.#frame?.close();
    this.#frame = page ? new ModuleFrame(module, this.theme, this.store) : null;
    this.#page.replaceChildren(...(this.#frame ? [this.#frame.root] : []));
  }

  #updateRoutes(module) {
    const routes = module.config?.routeMaps ?? [];
    const key = routes.length ? JSON.stringify(routes) : "";
    if (key === this.#routesKey) return;
    this.#routesKey = key;
    this.#routes.replaceChildren(new RouteForms(module.id, routes).root);
  }
}

function factList(facts) {
  const pair = (name, value) => el("div", {}, el("dt", { text: name }), value);
  return el("dl", { class: "facts" },
    pair("Version", facts.version), pair("Queue", facts.queue), pair("Requests served", facts.served), pair("Last seen", facts.seen));
}
