// The settings of a module that can be changed while the server runs. Whatever is changed starts the module anew.
import { getJson, postForm, postJson } from "./api.js";
import { breakable, el, setText } from "./dom.js";
import { ModelChooser } from "./model-chooser.js";

export const CHANGED = "modulechanged"; // bubbles, so that whoever shows the modules' states can look at once

/** Saves one setting of a module; throws what api.js throws. */
export async function saveSetting(moduleId, name, value) {
  const form = new FormData();
  form.append("name", name);
  form.append("value", value);
  return postForm(`v1/settings/${encodeURIComponent(moduleId)}`, form);
}

/** Starts a module anew; throws what api.js throws. */
function restart(moduleId) {
  return saveSetting(moduleId, "Restart", "now");
}

/** A button that starts a module anew, and says beside itself when that cannot be done. */
export function restartButton(moduleId) {
  const failure = el("span", { class: "failure", role: "alert" });
  const button = el("button", { type: "button", class: "button", text: "Restart" });
  const root = el("span", { class: "actions inline" }, button, failure);
  button.addEventListener("click", async () => {
    button.disabled = true;
    setText(failure, "");
    try {
      await restart(moduleId);
      root.dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
    } catch (error) {
      setText(failure, error.message);
    } finally {
      button.disabled = false;
    }
  });
  return root;
}

export class SettingsView {
  #id;
  #module = null;
  #loaded = false;
  #models;
  #fields = new Map();
  #stop = el("button", { type: "button", class: "button", onclick: () => this.#run(() => this.#startOrStop()) });
  #restart = el("button", {
    type: "button", class: "button", text: "Restart",
    onclick: () => this.#run(() => restart(this.#id)),
  });
  #said = el("p", { class: "progress-text", role: "status" });
  #failure = el("p", { class: "failure", role: "alert", hidden: true });
  #form = el("form", { class: "route-form" });

  constructor(id) {
    this.#id = id;
    this.#models = new ModelChooser(id, (name, value) => this.#run(() => saveSetting(id, name, value)));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run(() => this.#saveFields());
    });
    this.root = el("div", { class: "settings" },
      el("section", { class: "card-box" }, el("h2", { text: "Module" }),
        el("div", { class: "actions" }, this.#stop, this.#restart), this.#said, this.#failure),
      this.#models.root,
      el("section", { class: "card-box" }, el("h2", { text: "Environment variables" }), this.#form));
  }

  /** Called with the latest facts, whether or not this is visible. */
  update(module) {
    this.#module = module;
    setText(this.#stop, this.#isStopped() ? "Start" : "Stop");
    this.#restart.hidden = this.#isStopped();
    this.#models.update(module);
  }

  /** Called when this becomes visible. */
  shown() {
    this.#models.refresh();
    if (!this.#loaded) this.#load();
  }

  #isStopped() {
    return this.#module?.state.word === "Stopped";
  }

  #startOrStop() {
    return saveSetting(this.#id, "AutoStart", String(this.#isStopped()));
  }

  #saveFields() {
    const changed = [...this.#fields].filter(([, field]) => field.value !== field.defaultValue);
    if (changed.length === 0) return { message: "Nothing was changed." };
    return postJson("v1/settings", { [this.#id]: Object.fromEntries(changed.map(([name, field]) => [name, field.value])) });
  }

  // One change at a time: the next one would start the module anew once more.
  async #run(change) {
    this.#busy(true);
    this.#fail("");
    try {
      const answer = await change();
      setText(this.#said, answer.message ?? "");
      await this.#load();
      this.root.dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
      return true;
    } catch (error) {
      this.#fail(error.message);
      return false;
    } finally {
      this.#busy(false);
    }
  }

  #busy(busy) {
    for (const button of this.root.querySelectorAll("button")) button.disabled = busy;
  }

  #fail(text) {
    setText(this.#failure, text);
    this.#failure.hidden = text === "";
    if (text) setText(this.#said, "");
  }

  async #load() {
    try {
      const { environmentVariables = {} } = await getJson(`v1/settings/${encodeURIComponent(this.#id)}`);
      this.#showFields(environmentVariables);
      this.#loaded = true;
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #showFields(variables) {
    this.#fields = new Map(Object.entries(variables).map(([name, value]) => [name, el("input", {
      id: `setting-${this.#id}-${name}`, value, autocomplete: "off", spellcheck: "false",
    })]));
    const rows = [...this.#fields].map(([name, field]) => el("div", { class: "wide" },
      el("label", { for: field.id }, ...breakable(name)), field));
    this.#form.replaceChildren(el("div", { class: "fields" }, ...rows), rows.length
      ? el("div", { class: "actions" }, el("button", { type: "submit", class: "button primary", text: "Save" }))
      : el("p", { class: "route-text", text: "It has none." }));
  }
}
