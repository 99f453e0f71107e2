// Choosing a model: for modules with a route that lists them (its command is list_models).
import { postForm } from "./api.js";
import { el, setText } from "./dom.js";

const COMMAND = "list_models";
const USABLE = new Set(["chat", "embedding"]);
const FILE_SETTING = /_MODEL_FILENAME$/i; // which setting it is while the module cannot be asked

export class ModelChooser {
  #save;
  #route = null;
  #setting = "";
  #switchedAt = null; // when the process began that was told to make room for another model
  #answers = false;
  #folder = el("code", {});
  #where = el("p", { class: "route-text", hidden: true }, "Models folder: ", this.#folder);
  #select = el("select", { "aria-label": "Model" });
  #path;
  #said = el("p", { class: "progress-text", role: "status" });

  /** `save(name, value)` changes a setting and resolves to whether that worked. */
  constructor(id, save) {
    this.#save = save;
    this.#path = el("input", { id: `model-path-${id}`, autocomplete: "off", spellcheck: "false", dir: "auto", required: true });
    this.list = choiceForm("Use this model", this.#select, () => this.#choose(this.#select.value));
    this.root = el("section", { class: "card-box models", hidden: true }, el("h2", { text: "Model" }), this.#said, this.#where,
      this.list,
      choiceForm("Use this file", el("div", {},
        el("label", { for: this.#path.id, text: "Or a GGUF file elsewhere on the server's machine: its full path" }), this.#path),
      // The @ keeps its slashes as they are.
      () => this.#choose(`@${this.#path.value.trim().replace(/^@/, "")}`)));
  }

  update(module) {
    const { state, status, config } = module;
    this.#route = config?.routeMaps?.find((route) => route.command === COMMAND)?.route ?? null;
    this.#setting ||= Object.keys(config?.environmentVariables ?? {}).find((name) => FILE_SETTING.test(name)) ?? "";
    this.root.hidden = this.#route === null;
    const came = state.answers && !this.#answers;
    this.#answers = state.answers;
    this.module = module;
    if (this.#switchedAt !== null && !(state.answers && status.started !== this.#switchedAt) && state.word !== "Failed") {
      setText(this.#said, state.answers ? "Switching…" : `Switching: ${state.full}. ${state.reason}`);
      return;
    }
    const switched = this.#switchedAt !== null;
    this.#switchedAt = null;
    if (switched || came) this.refresh();
    this.#showUse();
  }

  /** Reads the list, unless the module cannot answer now. */
  async refresh() {
    this.list.hidden = !this.#answers;
    if (!this.#route || !this.#answers || this.#switchedAt !== null) return;
    try {
      this.#show(await postForm(`v1/${this.#route}`, new FormData()));
    } catch (error) {
      setText(this.#said, `The models cannot be listed: ${error.message}`);
    }
  }

  #show({ models = [], setting = "", folder = "" }) {
    this.#setting = setting || this.#setting;
    setText(this.#folder, folder);
    this.#where.hidden = folder === "";
    this.#select.replaceChildren(...models.map((model) => el("option", {
      value: model.value, text: `${model.file} · ${model.sizeMb} MB · ${model.kind}`, selected: model.loaded,
      disabled: !USABLE.has(model.kind), title: model.error ?? model.name,
    })));
    this.list.hidden = models.length === 0;
    this.#showUse();
  }

  // What the module itself says: a model that was chosen by its path is in no list.
  #showUse() {
    const { state, status } = this.module;
    const { modelLoaded, model, modelFile, kind, error } = status.statusData ?? {};
    if (state.well && modelLoaded) setText(this.#said, `In use: ${model} (${modelFile}, ${kind})`);
    else if (state.well && modelLoaded === false) setText(this.#said, error || "No model is loaded.");
    else if (!state.well) setText(this.#said, "No model is loaded."); // why stands above
  }

  async #choose(value) {
    this.#switchedAt = this.module?.status.started ?? "";
    setText(this.#said, "Switching…");
    if (await this.#save(this.#setting, value)) return;
    this.#switchedAt = null;
    this.#showUse();
  }
}

function choiceForm(button, field, choose) {
  const form = el("form", { class: "route-form" },
    el("div", { class: "fields" }, el("div", { class: "wide" }, field)),
    el("div", { class: "actions" }, el("button", { type: "submit", class: "button primary", text: button })));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    choose();
  });
  return form;
}
