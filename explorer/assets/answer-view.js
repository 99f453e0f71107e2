// Any answer of any module, shown as well as can be without knowing it: text, pictures, predictions, and all of it as JSON.
import { el, setText } from "./dom.js";

const IMAGE_STARTS = { iVBORw: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif", UklGR: "image/webp" };
const LONG_TEXT = 400;

/** Shows `answer` (a JSON object) inside `parent`; called again while it grows. */
export function showAnswer(parent, answer) {
  const reply = parent.querySelector(".reply");
  if (reply && typeof answer.reply === "string" && answer.commandStatus === "running") {
    setText(reply, answer.reply); // only the text has grown: leave the rest, and the reader's selection, alone
    return;
  }
  const opened = parent.querySelector("details")?.open ?? false;
  const known = [replyText(answer), ...pictures(answer), predictions(answer)].filter(Boolean);
  parent.replaceChildren(...known, everything(answer, opened || known.length === 0));
}

/** Shows that a request failed, and the answer when there was one. */
export function showFailure(parent, message, answer = null) {
  parent.replaceChildren(el("p", { class: "failure", role: "alert", text: message }));
  if (answer?.reply) parent.append(replyText(answer)); // what there was until then
  if (answer) parent.append(everything(answer, false));
}

function replyText(answer) {
  const text = ["reply", "summary", "text", "result"].map((key) => answer[key]).find((value) => typeof value === "string" && value);
  return text || typeof answer.reply === "string" ? el("p", { class: "reply", text: text ?? "" }) : null;
}

function pictures(answer) {
  const values = Object.values(answer).flatMap((value) => (Array.isArray(value) ? value : [value]));
  return values.filter((value) => typeof value === "string").map(imageUrl).filter(Boolean)
    .map((src, index) => el("img", { src, alt: `Picture ${index + 1} of the answer` }));
}

function imageUrl(text) {
  if (/^data:image\/(png|jpeg|gif|webp);base64,/.test(text)) return text;
  const start = Object.keys(IMAGE_STARTS).find((prefix) => text.length > 100 && text.startsWith(prefix));
  return start ? `data:${IMAGE_STARTS[start]};base64,${text}` : null;
}

function predictions({ predictions: list }) {
  if (!Array.isArray(list) || list.length === 0) return null;
  const cells = (one) => [one.label ?? one.userid ?? one.plate ?? "", percent(one.confidence), boxText(one)];
  return el("table", {},
    el("thead", {}, el("tr", {}, ...["Label", "Confidence", "Box"].map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, ...list.map((one) => el("tr", {}, ...cells(one).map((text) => el("td", { text: String(text) }))))));
}

function percent(value) {
  return Number.isFinite(value) ? `${Math.round(value * 100)} %` : "";
}

function boxText({ x_min: left, y_min: top, x_max: right, y_max: bottom }) {
  return left === undefined ? "" : `${left}, ${top} – ${right}, ${bottom}`;
}

function everything(answer, open) {
  const shorten = (_key, value) =>
    (typeof value === "string" && value.length > LONG_TEXT ? `${value.slice(0, LONG_TEXT)}… (${value.length} characters)` : value);
  return el("details", { open }, el("summary", { text: "Whole answer" }), el("pre", { text: JSON.stringify(answer, shorten, 2) }));
}
