// A module's own page inside a frame of its own, so that pages of different modules cannot clash.
import { serverBase } from "./api.js";
import { frameDocument } from "./frame-document.js";
import { FrameHeight } from "./frame-height.js";
import { nameOf } from "./module-store.js";
import { el } from "./dom.js";

export class ModuleFrame {
  #height = null;

  /** `page` is `{html, css, script}` as the server cut it from explore.html. */
  constructor(module, page, theme) {
    this.theme = theme;
    this.root = el("iframe", {
      class: "module-frame", title: `Page of ${nameOf(module)}`, allow: "microphone; camera; clipboard-write",
      srcdoc: frameDocument(module, page, serverBase, document.documentElement.dataset.theme),
    });
    this.root.addEventListener("load", () => this.#loaded());
    theme.addEventListener("change", this.#applyTheme);
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
  }

  #applyTheme = () => {
    const root = this.root.contentDocument?.documentElement;
    if (root) this.theme.apply(root);
  };
}
