// localStorage and sessionStorage of a module's page, each kept as one entry of the explorer's own: a page sees only what
// it wrote itself, and can fill only its share.

const MOST_CHARACTERS = 1_000_000;
const AREAS = ["localStorage", "sessionStorage"];

export class PageStore {
  #key;

  constructor(moduleId) {
    this.#key = `millrace-page/${moduleId}`;
  }

  /** `{localStorage: {…}, sessionStorage: {…}}` as they are now. */
  all() {
    return Object.fromEntries(AREAS.map((area) => [area, this.#read(area)]));
  }

  /** Sets an entry; `value` null removes it. */
  set({ area, key, value }) {
    if (!AREAS.includes(area)) return;
    const entries = new Map(Object.entries(this.#read(area)));
    if (value === null) entries.delete(String(key));
    else entries.set(String(key), String(value));
    const size = [...entries].reduce((sum, [name, text]) => sum + name.length + text.length, 0);
    if (size > MOST_CHARACTERS) return; // the page was told
    try {
      if (entries.size) window[area].setItem(this.#key, JSON.stringify(Object.fromEntries(entries)));
      else window[area].removeItem(this.#key);
    } catch {
      // No storage, or no room in it: then it is forgotten when the page goes.
    }
  }

  #read(area) {
    try {
      const kept = JSON.parse(window[area].getItem(this.#key));
      return kept !== null && typeof kept === "object" ? kept : {};
    } catch {
      return {};
    }
  }
}
