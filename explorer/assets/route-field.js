// One input of a route: a labelled field of the fitting kind, and how it is added to a request.
import { el } from "./dom.js";
import { label } from "./format.js";

let count = 0;

/** `{root, addTo(formData)}` for one entry of a RouteMap's inputs. Empty fields are not sent: the module's default holds. */
export function makeField(input) {
  const id = `field-${(count += 1)}`;
  const kind = kindOf(input.type);
  const initial = input.defaultValue ?? input.default ?? "";
  const control = CONTROLS[kind](id, input, initial);
  const caption = el("label", { for: id, text: label(input.name) });
  const hint = hintOf(input);
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  const parts = kind === "boolean"
    ? [el("label", { class: "check", for: id }, control, label(input.name))]
    : [caption, control];
  const root = el("div", { class: kind === "text" || kind === "json" ? "wide" : "" }, ...parts,
    hint ? el("p", { class: "hint", id: `${id}-hint`, text: hint }) : null);
  return { root, addTo: (form) => ADDERS[kind](form, input.name, control) };
}

function kindOf(type) {
  const name = String(type ?? "").toLowerCase();
  if (name.startsWith("file")) return name.endsWith("[]") ? "files" : "file";
  if (name === "integer" || name === "float" || name === "number") return "number";
  if (name === "boolean") return "boolean";
  return name.startsWith("object") ? "json" : "text";
}

const CONTROLS = {
  file: (id) => el("input", { id, type: "file" }),
  files: (id) => el("input", { id, type: "file", multiple: true }),
  boolean: (id, _input, initial) => el("input", { id, type: "checkbox", checked: /^(true|1|yes)$/i.test(String(initial)) }),
  number: (id, input, initial) => el("input", {
    id, type: "number", value: initial, min: input.minValue ?? null, max: input.maxValue ?? null,
    step: String(input.type).toLowerCase() === "integer" ? 1 : "any",
  }),
  json: (id, _input, initial) => textarea(id, initial),
  text: (id, _input, initial) => textarea(id, initial),
};

function textarea(id, initial) {
  const control = el("textarea", { id, rows: 1 });
  control.value = typeof initial === "object" ? JSON.stringify(initial) : String(initial);
  return control;
}

const addFiles = (form, name, control) => [...control.files].forEach((file) => form.append(name, file));
const addText = (form, name, control) => {
  if (control.value !== "") form.append(name, control.value);
};
const ADDERS = {
  file: addFiles,
  files: addFiles,
  boolean: (form, name, control) => form.append(name, String(control.checked)),
  number: addText,
  json: addText,
  text: addText,
};

function hintOf(input) {
  const { minValue: least, maxValue: most } = input;
  const range = least !== undefined && least !== null && most !== undefined && most !== null ? `${least} to ${most}` : "";
  return [input.description, range].filter(Boolean).join(" · ");
}
