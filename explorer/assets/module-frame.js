// A module's own page: a document of its own in a frame that has no rights, and the other end of its connection.
import { serverBase } from "./api.js";
import { el } from "./dom.js";
import { nameOf, pageOf, routesOf } from "./module-store.js";
import { PageAccess } from "./page-access.js";
import { PageRequests } from "./page-requests.js";
import { PageStore } from "./page-store.js";

const SANDBOX = "allow-scripts allow-forms allow-modals allow-downloads allow-popups";
const HIGHEST = 100_000; // pixels

export class ModuleFrame {
  #module;
  #port = null;
  #requests;
  #store;

  /** `store` is the ModuleStore, which knows whose route is whose. */
  constructor(module, theme, store) {
    this.#module = module;
    this.theme = theme;
    this.#store = new PageStore(module.id);
    const modules = () => [...store.modules.values()].map((one) => ({ id: one.id, routes: routesOf(one) }));
    this.#requests = new PageRequests(new PageAccess(module.id, modules));
    // What the page must know before its scripts run comes in the name of its window.
    const given = { theme: theme.shown, viewHeight: window.innerHeight, ...this.#store.all() };
    this.root = el("iframe", {
      class: "module-frame", title: `Page of ${nameOf(module)}`, allow: "microphone; camera; clipboard-write",
      name: JSON.stringify(given), src: new URL(`pages/${encodeURIComponent(module.id)}`, serverBase).href,
      sandbox: pageOf(module).trusted ? null : SANDBOX,
    });
    window.addEventListener("message", this.#connect);
    window.addEventListener("beforeunload", this.#waitForPage);
    window.addEventListener("resize", this.#tellView);
    theme.addEventListener("change", this.#tellTheme);
  }

  /** Passes the latest facts on to the page. */
  update(module) {
    this.#module = module;
    const { state, status } = module;
    this.#tell({ type: "status", detail: { state: state.word, reason: state.reason, statusData: status.statusData ?? null } });
  }

  close() {
    window.removeEventListener("message", this.#connect);
    window.removeEventListener("beforeunload", this.#waitForPage);
    window.removeEventListener("resize", this.#tellView);
    this.theme.removeEventListener("change", this.#tellTheme);
    this.#requests.close();
    this.#port?.close();
    this.root.remove();
  }

  // The document in the frame begins by sending one end of a channel; one that comes later takes its place.
  #connect = ({ source, data, ports }) => {
    if (source !== this.root.contentWindow || data?.type !== "module-page" || ports.length !== 1) return;
    this.#port?.close();
    this.#requests.close();
    [this.#port] = ports;
    this.#port.onmessage = (event) => this.#receive(event.data, event.ports);
    this.#tellTheme();
    this.#tellView();
    this.update(this.#module);
  };

  // Where somebody listens, the browser asks before it leaves; meanwhile what the page stores on leaving comes in.
  #waitForPage = () => {};

  #receive(message, [port]) {
    if (message.type === "request" && port) this.#requests.answer(message, port);
    else if (message.type === "store") this.#store.set(message);
    else if (message.type === "height") this.root.style.height = message.height ? `${Math.min(Number(message.height), HIGHEST)}px` : "80vh";
  }

  #tell(message) {
    this.#port?.postMessage(message);
  }

  #tellTheme = () => this.#tell({ type: "theme", theme: this.theme.shown });

  #tellView = () => this.#tell({ type: "view", height: window.innerHeight });
}
