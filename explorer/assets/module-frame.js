// A module's own page inside a frame of its own, so that pages of different modules cannot clash.
import { serverBase } from "./api.js";
import { frameDocument } from "./frame-document.js";
import { FrameHeight } from "./frame-height.js";
import { nameOf } from "./module-store.js";
import { el } from "./dom.js";

/** Fired in the page's document whenever its module's state was looked at; `detail` is `{state, reason, statusData}`. */
const STATUS = "modulestatus";

export class ModuleFrame {
  #height = null;
  #module;

  /** `page` is `{html, css, script}` as the server cut it from explore.html. */
  constructor(module, page, theme) {
    this.#module = module;
    this.theme = theme;
    this.root = el("iframe", {
      class: "module-frame", title: `Page of ${nameOf(module)}`, allow: "microphone; camera; clipboard-write",
      srcdoc: frameDocument(module, page, serverBase, document.documentElement.dataset.theme),
    });
    this.root.addEventListener("load", () => this.#loaded());
    theme.addEventListener("change", this.#applyTheme);
  }

  /** Passes the latest facts on to the page. */
  update(module) {
    this.#module = module;
    this.#tell();
  }

  close() {
    this.theme.removeEventListener("change", this.#applyTheme);
    this.#height?.close();
    this.root.remove();
  }

  #loaded() {
    this.#height?.close();
    this.#height = new FrameHeight(this.root);
    this.#applyTheme();
    this.#tell();
  }

  // A page that is not loaded yet is told when it is.
  #tell() {
    const { state, status } = this.#module;
    const detail = { state: state.word, reason: state.reason, statusData: status.statusData ?? null };
    this.root.contentDocument?.dispatchEvent(new CustomEvent(STATUS, { detail }));
  }

  #applyTheme = () => {
    const root = this.root.contentDocument?.documentElement;
    if (root) this.theme.apply(root);
  };
}
