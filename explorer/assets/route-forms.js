// A small form for every route of a module, made from what its RouteMaps say, so that any module can be tried.
import { CommandRun } from "./command-run.js";
import { serverBase } from "./api.js";
import { el } from "./dom.js";
import { makeField } from "./route-field.js";

export class RouteForms {
  /** `routes`: the routeMaps of one entry of list/all. */
  constructor(moduleId, routes) {
    this.root = el("div", {}, ...routes.map((route) => routeForm(moduleId, route)));
  }
}

function routeForm(moduleId, route) {
  const fields = (route.inputs ?? []).map(makeField);
  const send = el("button", { type: "submit", class: "button primary", text: "Send" });
  const stop = el("button", { type: "button", class: "button", text: "Stop", hidden: true });
  const progress = el("span", { class: "progress-text", role: "status" });
  const answer = el("div", { class: "answer" });
  const form = el("form", { class: "route-form" },
    el("div", { class: "fields" }, ...fields.map((field) => field.root)),
    el("div", { class: "actions" }, send, stop, progress));
  const run = new CommandRun(moduleId, `v1/${route.route}`, { send, stop, progress, answer });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run.start(collect(fields));
  });
  stop.addEventListener("click", () => run.cancel());
  return el("section", { class: "card-box", data: { route: route.route } },
    el("div", { class: "route-head" }, el("h2", { text: route.name || route.route }),
      el("code", { text: `POST ${new URL(`v1/${route.route}`, serverBase).pathname}` })),
    route.description ? el("p", { class: "route-text", text: route.description }) : null,
    form, answer);
}

function collect(fields) {
  const form = new FormData();
  for (const field of fields) field.addTo(form);
  return form;
}
