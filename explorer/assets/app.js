// Builds the parts of the explorer and connects them.
import { entrance } from "./api.js";
import { CommandsView } from "./commands-view.js";
import { Connection, showConnection } from "./connection.js";
import { arrange, el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { LoginView } from "./login-view.js";
import { LogView } from "./log-view.js";
import { ModuleList, emptyState } from "./module-list.js";
import { ModulePanel } from "./module-panel.js";
import { ModuleStore, nameOf, pageOf } from "./module-store.js";
import { currentRoute } from "./router.js";
import { Session } from "./session.js";
import { CHANGED } from "./settings-view.js";
import { Theme } from "./theme.js";

const byId = (id) => document.getElementById(id);

class App {
  theme = new Theme(byId("theme"));
  connection = new Connection();
  session = new Session();
  store = new ModuleStore(this.connection);
  list = new ModuleList(byId("module-list"));
  log = new LogView(this.connection);
  commands = new CommandsView(this.connection, byId("command-count"));
  panels = new Map();
  empty = emptyState();
  message = el("p", { class: "note", role: "status" });
  #usual = { id: null, settled: false };
  #announced = new Map();

  start() {
    showConnection(this.connection, {
      box: byId("server-state"), word: byId("server-word"), version: byId("server-version"), banner: byId("banner"),
    });
    this.connection.addEventListener("change", ({ detail }) => {
      if (detail.before === "lost") this.#refresh();
    });
    byId("main").addEventListener(CHANGED, () => this.store.refresh());
    this.#connectMenu();
    for (const name of ["log", "commands"]) byId(`${name}-link`).prepend(icon(name));
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    this.connection.start();
    this.#enter();
  }

  // After logging in or out everything begins anew, and a page takes up what it had stored.
  async #enter() {
    await this.session.look();
    byId("logout").hidden = !this.session.open;
    byId("logout").append(icon("leave"));
    byId("logout").addEventListener("click", () => this.#logOut());
    if (this.session.needed) {
      const login = new LoginView(this.session, () => location.reload());
      document.body.classList.add("logged-out");
      byId("main").replaceChildren(login.root);
      login.focus();
      return;
    }
    entrance.addEventListener("refused", () => this.#askAgain());
    window.addEventListener("hashchange", () => this.#navigated());
    this.store.addEventListener("change", () => this.show());
    this.show();
    this.store.start();
    this.commands.start();
  }

  // A log-in ends by itself, and elsewhere.
  async #askAgain() {
    await this.session.look();
    if (this.session.needed) location.reload();
  }

  async #logOut() {
    try {
      await this.session.logOut();
      location.reload();
    } catch (error) {
      setText(byId("announcer"), error.message);
    }
  }

  show() {
    const route = currentRoute();
    const modules = this.store.sorted();
    const selected = this.#select(route, modules);
    this.list.show(modules, selected?.id ?? null);
    for (const name of ["log", "commands"]) {
      if (route.view === name) byId(`${name}-link`).setAttribute("aria-current", "page");
      else byId(`${name}-link`).removeAttribute("aria-current");
    }
    this.#updatePanels(modules, selected);
    const view = this.#view(route, modules, selected);
    // Panels stay in the document, hidden, so that a page that is waiting for a reply goes on.
    const panels = [...this.panels.values()].map((panel) => panel.root);
    arrange(byId("main"), [...panels, this.log.root, this.commands.root, this.empty, this.message]);
    for (const child of byId("main").children) child.hidden = child !== view;
    this.log.setVisible(view === this.log.root, route.filter);
    this.commands.setVisible(view === this.commands.root);
    document.title = selected ? `${nameOf(selected)} – Millrace` : "Millrace";
    this.#announce(modules);
  }

  #view(route, modules, selected) {
    if (route.view === "log") return this.log.root;
    if (route.view === "commands") return this.commands.root;
    if (selected) return this.panels.get(selected.id).root;
    if (this.store.loaded && !this.store.problem && modules.length === 0) return this.empty;
    setText(this.message, this.store.problem || (this.store.loaded ? `There is no module “${route.id}”.` : "Asking the server…"));
    return this.message;
  }

  #select(route, modules) {
    if (route.view === "module") {
      const id = route.id.toLowerCase();
      return modules.find((module) => module.id.toLowerCase() === id) ?? null;
    }
    return route.view === "default" ? this.#selectUsual(modules) : null;
  }

  // Without an address: the first module with a page. Once one has been shown it stays.
  #selectUsual(modules) {
    const kept = modules.find((module) => module.id === this.#usual.id);
    if (kept && this.#usual.settled) return kept;
    const withPage = modules.find(pageOf);
    const chosen = withPage ?? kept ?? modules[0] ?? null;
    this.#usual = { id: chosen?.id ?? null, settled: withPage !== undefined };
    return chosen;
  }

  #updatePanels(modules, selected) {
    const present = new Set(modules.map((module) => module.id));
    for (const id of this.panels.keys()) if (!present.has(id)) this.#drop(id);
    for (const module of modules) {
      if (!this.panels.has(module.id)) this.panels.set(module.id, new ModulePanel(module.id, this.theme, this.store));
      this.panels.get(module.id).update(module, module === selected);
    }
  }

  #drop(id) {
    this.panels.get(id).close();
    this.panels.delete(id);
  }

  #navigated() {
    const fromMenu = document.body.classList.contains("menu-open");
    this.#setMenu(false);
    this.show();
    if (fromMenu) byId("main").focus(); // the link that was followed is out of sight now
    window.scrollTo(0, 0);
  }

  #refresh() {
    this.store.refresh();
    this.log.refresh();
    this.commands.refresh();
  }

  #connectMenu() {
    const button = byId("menu");
    button.addEventListener("click", () => this.#setMenu(button.getAttribute("aria-expanded") !== "true"));
    byId("modules").addEventListener("click", (event) => {
      if (event.target.closest("a[aria-current]")) this.#setMenu(false); // already there: the address will not change
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || button.getAttribute("aria-expanded") !== "true") return;
      this.#setMenu(false);
      button.focus();
    });
    this.#setMenu(false);
  }

  #setMenu(open) {
    const button = byId("menu");
    button.setAttribute("aria-expanded", String(open));
    button.replaceChildren(icon(open ? "close" : "menu"));
    document.body.classList.toggle("menu-open", open);
  }

  // Tells screen readers when a module's state has changed; Ready and Busy alternate with every command and are not news.
  #announce(modules) {
    const news = [];
    for (const module of modules) {
      const word = module.state.well ? "Ready" : module.state.label;
      const before = this.#announced.get(module.id);
      if (before !== undefined && before !== word) news.push(`${nameOf(module)}: ${word}`);
      this.#announced.set(module.id, word);
    }
    if (news.length) setText(byId("announcer"), news.join(". "));
  }
}

new App().start();
