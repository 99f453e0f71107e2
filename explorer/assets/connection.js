// Is the server there? One ping every few seconds feeds the header and the banner.
import { Unreachable, getJson } from "./api.js";
import { setText } from "./dom.js";
import { Poller } from "./poller.js";

const EVERY_MS = 5_000;
const EVERY_MS_WHEN_LOST = 1_000;
const TIMEOUT_MS = 4_000;

export class Connection extends EventTarget {
  /** "connecting", "connected" or "lost". */
  state = "connecting";
  version = "";
  #poller = new Poller(() => this.#ping(), () => (this.state === "lost" ? EVERY_MS_WHEN_LOST : EVERY_MS));

  start() {
    this.#poller.start();
  }

  /** Something else failed to reach the server: find out now instead of in some seconds. */
  suspect() {
    if (this.state === "connected") this.#poller.now();
  }

  async #ping() {
    try {
      const answer = await getJson("v1/server/status/ping", TIMEOUT_MS);
      this.version = versionOf(answer);
      this.#become("connected");
    } catch (error) {
      this.#become(error instanceof Unreachable ? "lost" : "connected"); // who refuses is there
    }
  }

  #become(state) {
    const before = this.state;
    this.state = state;
    if (state !== before) this.dispatchEvent(new CustomEvent("change", { detail: { before } }));
  }
}

// `millrace` is this server's own release; `message` is the version that modules and clients check against.
function versionOf(answer) {
  return String(answer.millrace ?? answer.message ?? "");
}

/** Shows the connection in the header, and a banner for as long as the server is away. */
export function showConnection(connection, { box, word, version, banner }) {
  const words = { connecting: "Connecting", connected: "Connected", lost: "Not reachable" };
  const show = () => {
    box.dataset.state = connection.state;
    setText(word, words[connection.state]);
    setText(version, connection.version && `v${connection.version}`);
    setText(banner, connection.state === "lost"
      ? "The server cannot be reached. Trying again…"
      : "");
    banner.hidden = connection.state !== "lost";
  };
  connection.addEventListener("change", show);
  show();
}
