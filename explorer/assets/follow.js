// Classic script, after server.js: following a command live, for module pages.
(function () {
  "use strict";

  const KINDS = ["queued", "started", "delta", "fields", "result", "error", "cancelled"];
  const FINAL = new Set(["result", "error", "cancelled"]);
  const PING_TIMEOUT_MS = 4_000;

  /**
   * Follows a command from its first event by Server-Sent Events, over lost connections and restarts of the server.
   * Returns a function that ends the following. Calls, all optional:
   *
   * - `on.change(command)`: `{state, position, text, fields}` as they are now; `text` is all the text so far, and is
   *   empty again when the command was given to a module anew.
   * - `on.end(command)`: the same with `state`, `reason`, `error`, `result` of the end. Nothing follows.
   * - `on.lost()`: the connection is gone; it is tried again until the server is back, which `on.change` tells.
   * - `on.unavailable()`: the server is there, but has no stream of this command, or not all of it: poll instead.
   *   Nothing follows.
   */
  window.followCommand = function followCommand(commandId, on) {
    const following = new Following(commandId, on);
    return () => following.close();
  };

  class Following {
    #command = { state: "queued", position: 0, text: "", fields: {} };
    #last = 0; // the number of the latest event
    #opened = false;
    #failures = 0; // how often the connection failed since the latest event

    constructor(commandId, on) {
      this.on = on;
      const path = `v1/commands/${encodeURIComponent(commandId)}/events`;
      this.source = new EventSource(`${window.millrace.serverUrl()}/${path}`);
      this.source.addEventListener("open", () => this.#connected());
      for (const kind of KINDS) this.source.addEventListener(kind, (event) => this.#receive(event));
    }

    // Without it the browser would connect again after the server has closed the ended stream.
    close() {
      this.source.close();
      this.on = {};
    }

    #connected() {
      if (this.#failures > 0) this.on.change?.({ ...this.#command }); // what `lost` made the page say is over
      this.#opened = true;
    }

    #receive(event) {
      // The connection's own "error" has the name of one of the command's events.
      if (!(event instanceof MessageEvent)) {
        this.#disconnected();
        return;
      }
      const seq = Number(event.lastEventId);
      if (seq > this.#last + 1) this.#giveUp(); // older events are no longer kept; the record still has the whole text
      else if (FINAL.has(event.type)) this.#finish(JSON.parse(event.data));
      else if (seq > this.#last) this.#take(seq, event.type, JSON.parse(event.data));
    }

    #take(seq, kind, data) {
      const command = this.#command;
      this.#last = seq;
      this.#failures = 0;
      if (kind === "queued") Object.assign(command, { state: "queued", position: data.position ?? 0 });
      if (kind === "started") Object.assign(command, { state: "running", position: 0, text: "", fields: {} });
      if (kind === "delta") command.text += data.text;
      if (kind === "fields") Object.assign(command.fields, data);
      this.on.change?.({ ...command });
    }

    #finish(data) {
      const { end } = this.on;
      this.close();
      end?.({ ...this.#command, ...data });
    }

    // A stream that breaks is taken up again by the browser, from the event after the last one. When that brings no
    // event either, though the server is there, something on the way lets no stream pass.
    async #disconnected() {
      if (this.source.readyState === EventSource.CLOSED) {
        this.#giveUp(); // the server answered with something else than a stream
        return;
      }
      this.#failures += 1;
      this.on.lost?.();
      const firstBreak = this.#opened && this.#failures === 1;
      if (!firstBreak && (await serverAnswers()) && this.source.readyState !== EventSource.OPEN) this.#giveUp();
    }

    #giveUp() {
      const { unavailable } = this.on;
      this.close();
      unavailable?.();
    }
  }

  async function serverAnswers() {
    try {
      await fetch(`${window.millrace.serverUrl()}/v1/server/status/ping`, {
        cache: "no-store", signal: AbortSignal.timeout(PING_TIMEOUT_MS),
      });
      return true;
    } catch {
      return false;
    }
  }
})();
