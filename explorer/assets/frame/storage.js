// Classic script, after link.js: localStorage and sessionStorage of a page that has no origin of its own. The explorer
// keeps them for the module; what is read here is what came with the window's name and was changed since.
(function () {
  "use strict";

  const MOST_CHARACTERS = 1_000_000; // of one store; the explorer holds to it too
  const frame = window.millraceFrame;
  const stores = { localStorage: {}, sessionStorage: {} };

  class Store {
    #area;
    #values;

    constructor(area) {
      this.#area = area;
      this.#values = new Map(Object.entries(frame.given[area] ?? {}));
    }

    get length() {
      return this.#values.size;
    }

    key(index) {
      return [...this.#values.keys()][index] ?? null;
    }

    getItem(key) {
      return this.#values.get(String(key)) ?? null;
    }

    setItem(key, value) {
      const [name, text] = [String(key), String(value)];
      const others = [...this.#values].filter(([one]) => one !== name);
      const size = others.reduce((sum, [one, kept]) => sum + one.length + kept.length, name.length + text.length);
      if (size > MOST_CHARACTERS) throw new DOMException(`The store of this page is full (${size}).`, "QuotaExceededError");
      this.#values.set(name, text);
      this.#tell(name, text);
    }

    removeItem(key) {
      if (this.#values.delete(String(key))) this.#tell(String(key), null);
    }

    clear() {
      for (const key of [...this.#values.keys()]) this.removeItem(key);
    }

    entries() {
      return Object.fromEntries(this.#values);
    }

    #tell(key, value) {
      frame.send({ type: "store", area: this.#area, key, value });
    }
  }

  // Pages also write localStorage.name = "value".
  const asProperties = {
    get: (store, name) => {
      const own = Reflect.get(store, name, store);
      if (typeof own === "function") return own.bind(store);
      return own !== undefined || typeof name === "symbol" ? own : (store.getItem(name) ?? undefined);
    },
    set: (store, name, value) => {
      store.setItem(name, value);
      return true;
    },
    has: (store, name) => name in Object.getPrototypeOf(store) || store.getItem(name) !== null,
    deleteProperty: (store, name) => {
      store.removeItem(name);
      return true;
    },
    ownKeys: (store) => Object.keys(store.entries()),
    getOwnPropertyDescriptor: (store, name) => {
      const value = store.getItem(name);
      return value === null ? undefined : { value, writable: true, enumerable: true, configurable: true };
    },
  };

  for (const area of Object.keys(stores)) {
    const store = new Store(area);
    const seen = new Proxy(store, asProperties);
    stores[area] = store;
    Object.defineProperty(window, area, { configurable: true, enumerable: true, get: () => seen });
  }

  // A page that loads itself again finds what it has written.
  function keepInName() {
    const written = Object.fromEntries(Object.entries(stores).map(([area, store]) => [area, store.entries()]));
    window.name = JSON.stringify({ ...frame.given, ...written });
  }

  // What a page writes when it is left would come too late: the explorer goes with it. So it is told a little earlier, and
  // that it is back, should nobody leave after all.
  let leaving = 0;
  window.addEventListener("beforeunload", () => {
    clearTimeout(leaving);
    window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    leaving = setTimeout(() => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })), 2_000);
  });
  window.addEventListener("pagehide", keepInName);
})();
