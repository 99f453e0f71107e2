// Which view the address asks for: "#LlamaChat" is a module, "#/log" the log, "#/log/LlamaChat" the log filtered,
// "#/commands" the list of commands.

/** `{view: "module" | "log" | "commands" | "default", id, filter}` of the present address. */
export function currentRoute() {
  const hash = decode(location.hash.slice(1));
  if (hash === "/log" || hash.startsWith("/log/")) return { view: "log", id: "", filter: hash.slice(5) };
  if (hash === "/commands") return { view: "commands", id: "", filter: "" };
  return hash === "" || hash.startsWith("/") ? { view: "default", id: "", filter: "" } : { view: "module", id: hash, filter: "" };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
