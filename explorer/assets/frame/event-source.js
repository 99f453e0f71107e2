// Classic script, after requests.js: EventSource over the page's fetch, with its reconnections.
(function () {
  "use strict";

  const USUAL_RETRY_MS = 3_000;
  const CONNECTING = 0, OPEN = 1, CLOSED = 2;

  class EventSource extends EventTarget {
    static CONNECTING = CONNECTING;
    static OPEN = OPEN;
    static CLOSED = CLOSED;
    CONNECTING = CONNECTING;
    OPEN = OPEN;
    CLOSED = CLOSED;
    readyState = CONNECTING;
    withCredentials = false;
    onopen = null;
    onmessage = null;
    onerror = null;
    #lastId = "";
    #retryMs = USUAL_RETRY_MS;
    #timer = 0;
    #abort = new AbortController();

    constructor(url) {
      super();
      this.url = new URL(String(url), document.baseURI).href;
      for (const name of ["open", "message", "error"]) this.addEventListener(name, (event) => this[`on${name}`]?.(event));
      this.#connect();
    }

    close() {
      this.readyState = CLOSED;
      clearTimeout(this.#timer);
      this.#abort.abort();
    }

    async #connect() {
      const headers = { Accept: "text/event-stream", ...(this.#lastId ? { "Last-Event-ID": this.#lastId } : {}) };
      let response = null;
      try {
        response = await window.fetch(this.url, { headers, cache: "no-store", signal: this.#abort.signal });
        if (this.#isStream(response)) await this.#read(response.body);
      } catch (error) {
        if (error.refused) this.#end();
      }
      if (this.readyState === CLOSED) return;
      if (response && !this.#isStream(response)) this.#end();
      else this.#connectAgain();
    }

    #isStream(response) {
      return response.status === 200 && /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
    }

    async #read(body) {
      this.readyState = OPEN;
      this.dispatchEvent(new Event("open"));
      const parser = new Parser();
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        for (const { type, data, id, retry } of parser.take(part.value)) {
          this.#retryMs = retry ?? this.#retryMs;
          this.#lastId = id ?? this.#lastId;
          if (this.readyState === CLOSED) return;
          if (data === null) continue;
          const origin = new URL(this.url).origin;
          this.dispatchEvent(new MessageEvent(type || "message", { data, origin, lastEventId: this.#lastId }));
        }
      }
    }

    #connectAgain() {
      this.readyState = CONNECTING;
      this.#timer = setTimeout(() => this.#connect(), this.#retryMs);
      this.dispatchEvent(new Event("error"));
    }

    #end() {
      this.close();
      this.dispatchEvent(new Event("error"));
    }
  }

  /** Cuts a stream of text into its events: `{type, data, id, retry}`; `data` is null where there is nothing to tell. */
  class Parser {
    #rest = "";
    #event = { type: "", data: null };

    take(text) {
      // A line that ends with a carriage return may go on with the rest of its line break.
      const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
      this.#rest = lines.pop();
      const events = [];
      for (const line of lines) {
        if (line !== "") {
          this.#field(line);
        } else {
          events.push(this.#event);
          this.#event = { type: "", data: null };
        }
      }
      return events;
    }

    #field(line) {
      const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
      if (name === "data") this.#event.data = this.#event.data === null ? value : `${this.#event.data}\n${value}`;
      else if (name === "event") this.#event.type = value;
      else if (name === "id" && !value.includes("\0")) this.#event.id = value;
      else if (name === "retry" && /^\d+$/.test(value)) this.#event.retry = Number(value);
    }
  }

  window.EventSource = EventSource;
})();
