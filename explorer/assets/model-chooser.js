// Choosing a model: for modules with a route that lists them (its command is list_models).
import { postForm } from "./api.js";
import { el, setText } from "./dom.js";

const COMMAND = "list_models";
const USABLE = new Set(["chat", "embedding"]);

export class ModelChooser {
  #id;
  #save;
  #route = null;
  #setting = "";
  #switchedAt = null; // when the process began that was told to make room for another model
  #well = false;
  #select = el("select", { "aria-label": "Model" });
  #use = el("button", { type: "submit", class: "button primary", text: "Use this model" });
  #said = el("p", { class: "progress-text", role: "status" });
  #form = el("form", { class: "route-form" },
    el("div", { class: "fields" }, el("div", { class: "wide" }, this.#select)),
    el("div", { class: "actions" }, this.#use), this.#said);

  /** `save(name, value)` changes a setting and resolves to whether that worked. */
  constructor(id, save) {
    this.#id = id;
    this.#save = save;
    this.root = el("section", { class: "card-box models", hidden: true }, el("h2", { text: "Model" }), this.#form);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose();
    });
  }

  update(module) {
    this.#route = module.config?.routeMaps?.find((route) => route.command === COMMAND)?.route ?? null;
    this.root.hidden = this.#route === null;
    const { state, status } = module;
    const came = state.well && !this.#well;
    this.#well = state.well;
    this.module = module;
    if (this.#switchedAt !== null && !(state.well && status.started !== this.#switchedAt)) {
      setText(this.#said, state.well ? "Switching…" : `Switching: ${state.word}. ${state.reason}`);
    } else if (this.#switchedAt !== null || came) {
      this.#switchedAt = null;
      this.refresh();
    }
  }

  /** Reads the list, unless the module cannot answer now. */
  async refresh() {
    if (!this.#route || !this.#well || this.#switchedAt !== null) return;
    try {
      this.#show(await postForm(`v1/${this.#route}`, new FormData()));
    } catch (error) {
      setText(this.#said, `The models cannot be listed: ${error.message}`);
    }
  }

  #show({ models = [], setting = "" }) {
    this.#setting = setting;
    const loaded = models.find((model) => model.loaded);
    this.#select.replaceChildren(...models.map((model) => el("option", {
      value: model.value, text: `${model.file} · ${model.sizeMb} MB · ${model.kind}`, selected: model.loaded,
      disabled: !USABLE.has(model.kind), title: model.error ?? model.name,
    })));
    this.#use.disabled = models.length === 0;
    const problem = this.module?.status.statusData?.error;
    setText(this.#said, loaded ? `In use: ${loaded.name} (${loaded.kind})` : problem || "No model is loaded.");
  }

  async #choose() {
    const before = this.module?.status.started ?? "";
    setText(this.#said, "Switching…");
    if (await this.#save(this.#setting, this.#select.value)) this.#switchedAt = before;
    else setText(this.#said, "");
  }
}
