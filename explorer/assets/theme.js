// The theme: "system", "light" or "dark", remembered in this browser and shared by its tabs.
import { icon } from "./icons.js";

const KEY = "millrace-theme";
const ORDER = ["system", "light", "dark"];
const ICONS = { system: "half", light: "sun", dark: "moon" };

export class Theme extends EventTarget {
  #choice = read();

  /** Connects the toggle button; it steps through system, light and dark. */
  constructor(button) {
    super();
    this.button = button;
    button.addEventListener("click", () => this.#choose(ORDER[(ORDER.indexOf(this.#choice) + 1) % ORDER.length]));
    window.addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#show(read());
    });
    this.#show(this.#choice);
  }

  /** "light" or "dark", or "" where the system decides. */
  get shown() {
    return this.#choice === "system" ? "" : this.#choice;
  }

  #choose(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // Not remembered then, but still applied.
    }
    this.#show(choice);
  }

  #show(choice) {
    this.#choice = choice;
    if (this.shown) document.documentElement.dataset.theme = this.shown;
    else delete document.documentElement.dataset.theme;
    this.button.replaceChildren(icon(ICONS[choice]));
    this.button.setAttribute("aria-label", `Theme: ${choice}. Change theme`);
    this.button.title = `Theme: ${choice}`;
    this.dispatchEvent(new Event("change"));
  }
}

function read() {
  try {
    const stored = localStorage.getItem(KEY);
    return ORDER.includes(stored) ? stored : "system";
  } catch {
    return "system";
  }
}
