// Classic script, the first one in a module's page: the connection with the explorer around the page. What the page
// must know before its own scripts run (theme, view height, its store) comes in the name of its window.
(function () {
  "use strict";

  const inside = window.parent !== window;
  const channel = new MessageChannel();
  const listeners = {};

  channel.port1.onmessage = ({ data }) => listeners[data.type]?.(data);
  if (inside) window.parent.postMessage({ type: "module-page" }, new URL(document.baseURI).origin, [channel.port2]);
  else document.addEventListener("DOMContentLoaded", tellWhereItWorks);

  /** For the other scripts of this folder only. */
  window.millraceFrame = {
    inside,
    given: given(),
    send: (message, transferred = []) => channel.port1.postMessage(message, transferred),
    on: (type, listener) => {
      listeners[type] = listener;
    },
  };

  function given() {
    try {
      return JSON.parse(window.name) ?? {};
    } catch {
      return {};
    }
  }

  function tellWhereItWorks() {
    const link = document.createElement("a");
    link.href = `explorer.html#${location.pathname.split("/").pop()}`;
    link.target = "_self";
    link.textContent = "Open it in the explorer: only there it can ask the server.";
    document.body.prepend(link);
  }
})();
