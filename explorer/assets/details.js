// The details of a module: what it reports about itself, and what its settings say.
import { el } from "./dom.js";
import { fullTime, label, plain } from "./format.js";

export class Details {
  #key = "";
  root = el("div", { class: "details" });

  update({ id, status, config }) {
    const tables = [["Reported by the module", reported(status.statusData)], ["About", about(id, status, config)]];
    const key = JSON.stringify(tables);
    if (key === this.#key) return;
    this.#key = key;
    this.root.replaceChildren(...tables.filter(([, rows]) => rows.length).map(([title, rows]) => table(title, rows)));
  }
}

function reported(statusData) {
  if (statusData === null || typeof statusData !== "object") return [];
  return Object.entries(statusData).map(([key, value]) => [label(key), plain(value)]);
}

function about(id, status, config) {
  const publishing = config?.publishingInfo ?? {};
  const launch = config?.launchSettings ?? {};
  const rows = [
    ["Module id", id], ["Version", status.version], ["Queue", status.queue], ["Requests served", status.requestCount],
    ["Started", fullTime(status.started)], ["Last seen", fullTime(status.lastSeen)],
    ["Runtime", launch.runtime], ["Parallel commands", launch.parallelism], ["Author", publishing.author],
    ["Licence", publishing.license], ["Based on", publishing.basedOn],
  ];
  return rows.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([key, value]) => [key, plain(value)]);
}

function table(title, rows) {
  return el("section", { class: "card-box" }, el("h2", { text: title }),
    el("table", { class: "facts-table" }, el("tbody", {}, ...rows.map(([key, value]) =>
      el("tr", {}, el("th", { scope: "row", text: key }), el("td", { text: value }))))));
}
