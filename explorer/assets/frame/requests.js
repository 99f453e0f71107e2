// Classic script, after link.js: fetch and sendBeacon of a page that may connect to nothing. The explorer asks the server
// in its place, for what pages may reach.
(function () {
  "use strict";

  const frame = window.millraceFrame;
  const ownFetch = window.fetch.bind(window);
  const EMPTY = new Set([101, 204, 205, 304]);

  window.fetch = async function fetch(input, init = {}) {
    const request = input instanceof Request ? input : null;
    const url = new URL(request ? request.url : String(input), document.baseURI);
    if (url.protocol === "blob:" || url.protocol === "data:") return ownFetch(input, init);
    const method = String(init.method ?? request?.method ?? "GET").toUpperCase();
    const headers = new Headers(init.headers ?? request?.headers);
    const body = await bodyOf(init.body ?? (request && method !== "GET" && method !== "HEAD" ? await request.blob() : null), headers);
    const signal = init.signal ?? request?.signal ?? null;
    signal?.throwIfAborted();
    return new Exchange(signal).begin({
      type: "request", url: url.href, method, headers: [...headers], body, cache: init.cache ?? request?.cache ?? "default",
    });
  };

  navigator.sendBeacon = function sendBeacon(url, data = null) {
    window.fetch(url, { method: "POST", body: data }).catch(() => {});
    return true;
  };

  // In a form that can be sent by message; files go by reference. The content type is set as the browser would set it.
  async function bodyOf(body, headers) {
    if (body === null || body === undefined) return null;
    if (body instanceof FormData) {
      headers.delete("content-type");
      return { fields: [...body].map(([name, value]) => (value instanceof File ? [name, value, value.name] : [name, value])) };
    }
    const plain = new Response(body);
    const type = plain.headers.get("content-type");
    if (type && !headers.has("content-type")) headers.set("content-type", type);
    return body instanceof Blob ? body : plain.arrayBuffer();
  }

  /** One request, over a port of its own. */
  class Exchange {
    #port;
    #signal;
    #controller = null;
    #pulled = null;

    constructor(signal) {
      this.#signal = signal;
    }

    begin(request) {
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      return new Promise((resolve, reject) => {
        this.#signal?.addEventListener("abort", () => this.#abort(reject), { once: true });
        port1.onmessage = ({ data }) => this.#receive(data, resolve, reject);
        frame.send(request, [port2]);
      });
    }

    #receive(data, resolve, reject) {
      if (data.type === "head") resolve(this.#response(data));
      else if (data.type === "chunk") this.#controller.enqueue(data.bytes);
      else if (data.type === "failed") this.#fail(data, reject);
      else this.#end();
      this.#pulled?.();
    }

    #response({ status, statusText, headers, url }) {
      const stream = EMPTY.has(status) ? null : new ReadableStream({
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => new Promise((resolve) => {
          this.#pulled = resolve;
          this.#port.postMessage({ type: "pull" });
        }),
        cancel: () => this.#close(),
      });
      if (stream === null) this.#close();
      const response = new Response(stream, { status, statusText, headers });
      return Object.defineProperty(response, "url", { value: url });
    }

    #end() {
      this.#controller.close();
      this.#port.close();
    }

    #fail({ message, refused }, reject) {
      if (refused) console.warn(message);
      const error = Object.assign(new TypeError(message), { refused });
      reject(error);
      this.#controller?.error(error);
      this.#port.close();
    }

    #abort(reject) {
      reject(this.#signal.reason);
      try {
        this.#controller?.error(this.#signal.reason);
      } catch {
        // It was at its end.
      }
      this.#close();
    }

    #close() {
      this.#port.postMessage({ type: "abort" });
      this.#port.close();
    }
  }
})();
