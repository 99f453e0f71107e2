// What the page of a module may ask of the server: its module's routes, its module's commands, its own settings, how the
// server is. Every address is brought into the server's own normal form first, and it is that form which is asked for.
import { getJson, serverBase } from "./api.js";

/** The page may not ask for that; the message says what it may. */
export class NotAllowed extends Error {}

const READS = new Set(["GET", "HEAD"]);
const STATUS = ["v1/server/status", "v1/status", "v1/module/list/status", "assets", "healthz", "readyz"];
const POLLS = new Set(["get_command_status", "cancel_command"]);
const COMMAND_PARTS = { "": READS, events: READS, cancel: new Set(["POST"]) };
// What the server keeps for itself, whatever a module calls its routes.
const RESERVED = new Set([
  "channel", "commands", "keys", "log", "login", "logout", "module", "queue", "server", "settings", "status", "whoami",
]);

export class PageAccess {
  #id;
  #modules;
  #served; // ids of modules that answered this page: a route may be served by another module of the same kind
  #commands = new Set();

  /** `modules()`: `[{id, routes}]`, with the paths of all routes of all modules. */
  constructor(id, modules) {
    this.#id = id.toLowerCase();
    this.#served = new Set([this.#id]);
    this.#modules = modules;
  }

  /** Resolves to the address to ask instead of `url`. Throws NotAllowed, and what api.js throws. */
  async address(method, url) {
    const asked = new URL(url, serverBase);
    const path = normalPath(asked);
    if (path === null || !(await this.#may(method, path.toLowerCase().split("/"), path))) {
      throw new NotAllowed(`The page of ${this.#id} may not ask for ${method} ${asked.href}: it reaches its module's routes, `
        + "commands and settings, and the status of the server (docs/writing-a-module.md).");
    }
    return new URL(path.split("/").map(encodeURIComponent).join("/") + asked.search, serverBase);
  }

  /** Whether this is a route of the module, whose answers may name a command that the page may then ask for. */
  isRoute(address) {
    return this.#ownsRoute(normalPath(address).toLowerCase().split("/").slice(1));
  }

  /** Takes up what an answer of a route says. */
  learn({ commandId, moduleId }) {
    if (typeof commandId === "string") this.#commands.add(commandId);
    if (typeof moduleId === "string") this.#served.add(moduleId.toLowerCase());
  }

  async #may(method, [first, ...rest], path) {
    if (READS.has(method) && STATUS.some((one) => `${path.toLowerCase()}/`.startsWith(`${one}/`))) return true;
    if (first !== "v1" || rest.length === 0) return false;
    if (rest[0] === "settings") return rest.length === 2 && rest[1] === this.#id && (READS.has(method) || method === "POST");
    if (rest[0] === "commands") return this.#mayCommand(method, path.split("/").slice(2));
    if (!READS.has(method) && method !== "POST") return false;
    return (rest.length === 2 && this.#served.has(rest[0]) && POLLS.has(rest[1])) || this.#ownsRoute(rest);
  }

  // The longest route that the path begins with must be one of the module's; several modules may have the same one.
  #ownsRoute(parts) {
    if (RESERVED.has(parts[0])) return false;
    const fits = (route) => `${parts.join("/")}/`.startsWith(`${route.toLowerCase()}/`);
    const all = this.#modules().flatMap(({ id, routes }) => routes.filter(fits).map((route) => ({ id, length: route.length })));
    const longest = Math.max(...all.map(({ length }) => length));
    return all.some(({ id, length }) => length === longest && id.toLowerCase() === this.#id);
  }

  async #mayCommand(method, [id, part = "", ...more]) {
    if (!id || more.length || !COMMAND_PARTS[part.toLowerCase()]?.has(method)) return false;
    return this.#commands.has(id) || this.#isOfModule(id);
  }

  // One from before the page was loaded again. What the server does not know, or does not show, it refuses itself.
  async #isOfModule(id) {
    try {
      const { module } = await getJson(`v1/commands/${encodeURIComponent(id)}`);
      if (module.toLowerCase() !== this.#id) return false;
      this.#commands.add(id);
    } catch (error) {
      if (error.body === undefined) throw error;
    }
    return true;
  }
}

/**
 * The path of `url` as the server reads it, without its slash at the front: decoded once, no empty or dot segments. null
 * when it is not below the server's address, or has signs that no route has.
 */
export function normalPath(url) {
  if (url.origin !== serverBase.origin || url.username || url.password || !url.pathname.startsWith(serverBase.pathname)) return null;
  const parts = [];
  for (const part of (decoded(url.pathname.slice(serverBase.pathname.length)) ?? "\0").split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  const path = parts.join("/");
  return /[\u0000-\u001f\\%?#]/.test(path) ? null : path;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
