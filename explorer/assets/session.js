// Who the visitor is to the server, and logging in and out. The key is sent once; after that a cookie stands for it, which
// no script can read.
import { getJson, postForm, postJson } from "./api.js";

export class Session {
  /** Whether the visitor must log in before anything else; `known` after `look()`. */
  needed = false;
  /** Whether there is a log-in that can be ended. */
  open = false;

  /** Asks the server. One that cannot be reached needs no log-in yet. */
  async look() {
    try {
      const { owner, keyNeeded, way } = await getJson("v1/whoami");
      this.needed = owner === null && keyNeeded === true;
      this.open = way === "session";
    } catch {
      this.needed = false;
      this.open = false;
    }
  }

  /** Throws what api.js throws; a wrong key is Refused. */
  logIn(key) {
    return postJson("v1/login", { key });
  }

  logOut() {
    return postForm("v1/logout", new FormData());
  }
}
