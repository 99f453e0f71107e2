// Classic script, after requests.js: XMLHttpRequest over the page's fetch. Without synchronous requests.
(function () {
  "use strict";

  const UNSENT = 0, OPENED = 1, HEADERS_RECEIVED = 2, LOADING = 3, DONE = 4;
  const STATES = { UNSENT, OPENED, HEADERS_RECEIVED, LOADING, DONE };
  const EVENTS = ["loadstart", "progress", "abort", "error", "load", "timeout", "loadend"];

  class Target extends EventTarget {
    constructor(names) {
      super();
      for (const name of names) {
        this[`on${name}`] = null;
        this.addEventListener(name, (event) => this[`on${name}`]?.(event));
      }
    }
  }

  class XMLHttpRequest extends Target {
    readyState = UNSENT;
    status = 0;
    statusText = "";
    responseURL = "";
    responseType = "";
    response = "";
    responseText = "";
    timeout = 0;
    withCredentials = false;
    upload = new Target(EVENTS);
    #request = null;
    #headers = null;
    #abort = null;
    #type = "";

    constructor() {
      super([...EVENTS, "readystatechange"]);
    }

    open(method, url, async = true) {
      if (!async) throw new DOMException("A module's page cannot make synchronous requests.", "InvalidAccessError");
      this.#abort?.abort();
      this.#request = { method, url: new URL(String(url), document.baseURI).href, headers: new Headers() };
      this.#headers = null;
      this.#become(OPENED);
    }

    setRequestHeader(name, value) {
      this.#request.headers.append(name, value);
    }

    overrideMimeType(type) {
      this.#type = type;
    }

    getResponseHeader(name) {
      return this.#headers?.get(name) ?? null;
    }

    getAllResponseHeaders() {
      return [...(this.#headers ?? [])].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    }

    abort() {
      this.#abort?.abort();
    }

    send(body = null) {
      const { method, url, headers } = this.#request;
      const abort = this.#abort = new AbortController();
      const signals = [abort.signal, ...(this.timeout > 0 ? [AbortSignal.timeout(this.timeout)] : [])];
      this.#tell("loadstart");
      const sent = /^(get|head)$/i.test(method) ? null : body;
      this.#receive(window.fetch(url, { method, headers, body: sent, signal: AbortSignal.any(signals) }));
    }

    async #receive(coming) {
      try {
        const response = await coming;
        const { status, statusText, url, headers } = response;
        Object.assign(this, { status, statusText, responseURL: url });
        this.#headers = headers;
        this.#become(HEADERS_RECEIVED);
        await this.#read(response);
        this.#finish("load");
      } catch (error) {
        Object.assign(this, { status: 0, statusText: "", response: this.responseType in { "": 1, text: 1 } ? "" : null, responseText: "" });
        this.#finish({ TimeoutError: "timeout", AbortError: "abort" }[error.name] ?? "error");
      }
    }

    async #read(response) {
      const chunks = [];
      let loaded = 0;
      const decoder = new TextDecoder();
      const text = this.responseType === "" || this.responseType === "text";
      const reader = response.body?.getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
        chunks.push(part.value);
        loaded += part.value.length;
        if (text) this.response = this.responseText += decoder.decode(part.value, { stream: true });
        this.#become(LOADING);
        this.#tell("progress", loaded);
      }
      if (text) this.response = this.responseText += decoder.decode();
      else this.response = await this.#converted(new Blob(chunks, { type: this.#type || response.headers.get("content-type") || "" }));
    }

    async #converted(blob) {
      if (this.responseType === "blob") return blob;
      if (this.responseType === "arraybuffer") return blob.arrayBuffer();
      const text = await blob.text();
      if (this.responseType === "document") return new DOMParser().parseFromString(text, "text/html");
      try {
        return JSON.parse(text);
      } catch {
        return null;
      }
    }

    #finish(outcome) {
      this.#become(DONE);
      this.upload.dispatchEvent(new ProgressEvent(outcome));
      this.upload.dispatchEvent(new ProgressEvent("loadend"));
      this.#tell(outcome);
      this.#tell("loadend");
    }

    #become(state) {
      this.readyState = state;
      this.dispatchEvent(new Event("readystatechange"));
    }

    #tell(name, loaded = 0) {
      const total = Number(this.getResponseHeader("content-length") ?? 0);
      this.dispatchEvent(new ProgressEvent(name, { loaded, total, lengthComputable: total > 0 }));
    }
  }

  Object.assign(XMLHttpRequest, STATES);
  Object.assign(XMLHttpRequest.prototype, STATES);
  window.XMLHttpRequest = XMLHttpRequest;
})();
