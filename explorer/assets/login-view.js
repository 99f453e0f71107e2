// The log-in: one field for an API key, in place of everything else.
import { el, setText } from "./dom.js";

export class LoginView {
  #session;
  #entered;
  #key = el("input", {
    id: "login-key", class: "input", type: "password", autocomplete: "current-password", required: true, spellcheck: "false",
  });
  #button = el("button", { type: "submit", class: "button primary", text: "Log in" });
  #failure = el("p", { class: "failure", role: "alert" });

  /** `entered()` is called when the log-in has succeeded. */
  constructor(session, entered) {
    this.#session = session;
    this.#entered = entered;
    // The name helps password managers, which keep keys as they keep passwords.
    const name = el("input", { type: "text", autocomplete: "username", value: "API key", hidden: true });
    const form = el("form", { class: "card-box login" }, el("h1", { text: "Log in" }),
      el("p", { class: "route-text", text: "This server asks for an API key." }),
      name, el("label", { for: "login-key", text: "API key" }), this.#key, this.#failure,
      el("div", { class: "actions" }, this.#button));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.root = form;
  }

  focus() {
    this.#key.focus();
  }

  async #submit() {
    this.#button.disabled = true;
    setText(this.#failure, "");
    try {
      await this.#session.logIn(this.#key.value.trim());
      this.#key.value = "";
      this.#entered();
    } catch (error) {
      setText(this.#failure, error.message);
      this.#key.select();
    } finally {
      this.#button.disabled = false;
    }
  }
}
