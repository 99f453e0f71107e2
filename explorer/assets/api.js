// Talking to the server: JSON in, errors as two clear kinds.

/** Where the server is: the folder above /assets/, so a path prefix in front of the server keeps working. */
export const serverBase = new URL("..", import.meta.url);

/** Fires "refused" when the server asks who this is (401). */
export const entrance = new EventTarget();

/** The server did not answer at all (down, restarting, network gone, or too slow). */
export class Unreachable extends Error {}

/** The server answered, and the answer says that it did not work. `body` is its JSON, or null. */
export class Refused extends Error {
  constructor(message, body = null) {
    super(message);
    this.body = body;
  }
}

/** GETs `path` (e.g. "v1/module/list/status"); resolves to the JSON object. Throws Unreachable or Refused. */
export function getJson(path, timeoutMs = 10_000) {
  return ask(path, { cache: "no-store" }, timeoutMs);
}

/** POSTs `form` (FormData) to `path`; resolves to the JSON object. Throws Unreachable or Refused. */
export function postForm(path, form, timeoutMs = 10_000) {
  return ask(path, { method: "POST", body: form }, timeoutMs);
}

/** POSTs `value` as JSON to `path`; resolves to the JSON object. Throws Unreachable or Refused. */
export function postJson(path, value, timeoutMs = 10_000) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(value) }, timeoutMs);
}

async function ask(path, options, timeoutMs) {
  let response;
  let body;
  try {
    response = await fetch(new URL(path, serverBase), { ...options, signal: AbortSignal.timeout(timeoutMs) });
    body = parse(await response.text());
  } catch (error) {
    const slow = error.name === "TimeoutError";
    throw new Unreachable(slow ? `No answer within ${Math.round(timeoutMs / 1000)} seconds.` : "The server cannot be reached.");
  }
  if (response.status === 401) entrance.dispatchEvent(new Event("refused"));
  if (body === null) throw new Refused(`The server answered with HTTP ${response.status} and no JSON.`);
  if (!response.ok || body.success === false) throw new Refused(reason(body, response.status), body);
  return body;
}

function reason(body, status) {
  return String(body.error || body.message || body.title || `The server answered with HTTP ${status}.`);
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
