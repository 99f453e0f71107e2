// What modules there are, what state they are in, and what they offer. The one place that asks for it.
import { Unreachable, getJson } from "./api.js";
import { Poller } from "./poller.js";
import { stateOf } from "./states.js";

const STATUS_MS = 2_000;
const CONFIG_MS = 10_000;
// Tabs of the compatible explorer, in its order; a category not named here comes before "Other".
const CATEGORIES = [
  "Generative AI", "Computer Vision", "Image Processing", "Face Recognition", "Computer Audition", "Natural Language",
  "Video Processing", "Training", "Benchmarking", "Demo Modules",
];

/**
 * Keeps `modules`: Map of module id to `{id, status, state, config}`. `config` (what list/all tells) is null
 * for a module whose settings are not in order. Fires "change" after every successful look.
 */
export class ModuleStore extends EventTarget {
  modules = new Map();
  loaded = false;
  problem = "";
  #configs = new Map();
  #configsAt = 0;
  #fingerprint = "";
  #poller = new Poller(() => this.#look(), STATUS_MS);

  constructor(connection) {
    super();
    this.connection = connection;
  }

  start() {
    this.#poller.start();
  }

  refresh() {
    this.#configsAt = 0;
    this.#poller.now();
  }

  /** Modules in the order of the list: by category, then by name. */
  sorted() {
    return [...this.modules.values()].sort((a, b) =>
      rank(a) - rank(b) || categoryOf(a).localeCompare(categoryOf(b)) || nameOf(a).localeCompare(nameOf(b)));
  }

  async #look() {
    try {
      const { statuses = [] } = await getJson("v1/module/list/status");
      await this.#lookAtConfigs(statuses);
      this.#take(statuses);
      this.problem = "";
    } catch (error) {
      if (error instanceof Unreachable) {
        this.connection.suspect();
        return;
      }
      this.problem = error.message;
    }
    this.loaded = true;
    this.dispatchEvent(new Event("change"));
  }

  // Configurations change rarely: they are read when a module has come, gone or changed state, and now and then.
  async #lookAtConfigs(statuses) {
    const fingerprint = statuses.map((one) => [one.moduleId, one.version, stateOf(one).well].join()).join(";");
    if (fingerprint === this.#fingerprint && Date.now() - this.#configsAt < CONFIG_MS) return;
    for (const config of await configs()) this.#configs.set(config.moduleId, config);
    this.#fingerprint = fingerprint;
    this.#configsAt = Date.now();
  }

  #take(statuses) {
    this.modules = new Map(statuses.map((status) => {
      const id = status.moduleId;
      return [id, { id, status, state: stateOf(status), config: this.#configs.get(id) ?? null }];
    }));
    for (const id of this.#configs.keys()) if (!this.modules.has(id)) this.#configs.delete(id);
  }
}

async function configs() {
  return (await getJson("v1/module/list/all")).modules ?? [];
}

export function nameOf(module) {
  return module.status.name || module.config?.name || module.id;
}

export function categoryOf(module) {
  return module.config?.publishingInfo?.category || module.status.category || "Other";
}

/** The module's own page `{html, css, script}`, or null when it has none. */
export function pageOf(module) {
  const page = module.config?.uiElements?.explorerUI;
  return page?.html && page.script ? page : null;
}

/** The paths of the module's routes, below v1/. */
export function routesOf(module) {
  return (module.config?.routeMaps ?? []).map(({ route }) => route);
}

function rank(module) {
  const index = CATEGORIES.indexOf(categoryOf(module));
  if (index >= 0) return index;
  return categoryOf(module) === "Other" ? CATEGORIES.length + 1 : CATEGORIES.length;
}
