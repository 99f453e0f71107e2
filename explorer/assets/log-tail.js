// Reads the log in pieces, in order, and notices when it began anew.
import { getJson } from "./api.js";

const PIECE = 500;

export class LogTail {
  #last = null;

  /**
   * The entries since the last call: `{restarted, entries}`. `restarted` says that the server's log has begun anew, and
   * `entries` then are all that it has.
   */
  async next() {
    const known = this.#last;
    if (known === null) return { restarted: false, entries: await this.#after(0) };
    // The last known entry is asked for again: when it is gone, or is another one, this is a new log.
    const entries = await this.#after(known.id - 1);
    const first = entries[0];
    if (first?.id === known.id && first.timestamp === known.timestamp) return { restarted: false, entries: entries.slice(1) };
    if (first && first.id > known.id) return { restarted: false, entries }; // more came than the server keeps
    return { restarted: true, entries: await this.#after(0) };
  }

  async #after(id) {
    const all = [];
    let piece = [];
    do {
      const from = all.at(-1)?.id ?? id;
      piece = (await getJson(`v1/log/list?last_id=${from}&count=${PIECE}`)).entries ?? [];
      all.push(...piece);
    } while (piece.length >= PIECE);
    this.#last = all.at(-1) ?? null;
    return all;
  }
}
