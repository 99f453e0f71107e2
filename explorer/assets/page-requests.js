// Asks the server in place of a module's page, and hands on the answer as it comes. Each request has a port of its own.
import { NotAllowed } from "./page-access.js";

// Who asks is the visitor: a page cannot ask in the name of another key.
const KEPT_BACK = new Set(["authorization", "x-api-key", "x-module-secret", "x-cpai-forwarded"]);

export class PageRequests {
  #access;
  #running = new Set();

  constructor(access) {
    this.#access = access;
  }

  /** `request` as frame/requests.js sends it; the answer goes to `port`. */
  async answer(request, port) {
    const abort = new AbortController();
    this.#running.add(abort);
    const answering = new Answer(port, abort);
    abort.signal.addEventListener("abort", () => this.#running.delete(abort));
    try {
      const address = await this.#access.address(request.method, request.url);
      const response = await fetch(address, optionsOf(request, abort.signal));
      answering.begin(response, await this.#readerOf(request, address, response));
    } catch (error) {
      answering.fail(error);
    }
  }

  /** Ends all requests: the page is gone. */
  close() {
    for (const abort of this.#running) abort.abort();
  }

  // An answer of the module's own may name the command that it has begun, so it is read before it is handed on.
  async #readerOf(request, address, response) {
    const isJson = /^application\/json\b/i.test(response.headers.get("content-type") ?? "");
    if (request.method !== "POST" || !isJson || !this.#access.isRoute(address)) return response.body?.getReader() ?? null;
    const text = await response.text();
    try {
      this.#access.learn(JSON.parse(text) ?? {});
    } catch {
      // The page is to see it as it is.
    }
    return new Blob([text]).stream().getReader();
  }
}

function optionsOf({ method, headers, body, cache }, signal) {
  return {
    method, cache, signal, redirect: "error", credentials: "same-origin",
    headers: headers.filter(([name]) => !KEPT_BACK.has(name.toLowerCase())),
    body: body?.fields ? formOf(body.fields) : unbound(body),
  };
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value, ...filename] of fields) form.append(name, unbound(value), ...filename);
  return form;
}

// A file that was chosen in the frame may be read by the frame's process only; its content, as a blob, by this one too.
function unbound(value) {
  return value instanceof File ? new Blob([value], { type: value.type }) : value;
}

/** The answer to one request: its head, then piece by piece as the page asks for more. */
class Answer {
  #port;
  #abort;
  #reader = null;

  constructor(port, abort) {
    this.#port = port;
    this.#abort = abort;
    port.onmessage = ({ data }) => (data.type === "pull" ? this.#next() : this.#stop());
  }

  begin(response, reader) {
    this.#reader = reader;
    const { status, statusText, url } = response;
    this.#port.postMessage({ type: "head", status, statusText, url, headers: [...response.headers] });
  }

  fail(error) {
    const refused = error instanceof NotAllowed;
    this.#port.postMessage({ type: "failed", refused, message: refused ? error.message : "The server cannot be reached." });
    this.#stop();
  }

  async #next() {
    try {
      const { done, value } = await this.#reader.read();
      if (!done) {
        this.#port.postMessage({ type: "chunk", bytes: value }, [value.buffer]);
        return;
      }
      this.#port.postMessage({ type: "end" });
      this.#stop();
    } catch (error) {
      this.fail(error);
    }
  }

  #stop() {
    this.#abort.abort();
    this.#port.close();
  }
}
