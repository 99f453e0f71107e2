// Classic script: what a module's page uses to talk to the server and to report how it went. Everything here is a
// global (a property of window, so that a page may declare a variable of the same name).
(function () {
  "use strict";

  const source = document.currentScript && document.currentScript.src;

  // The server that this script came from, whatever page loads it.
  window.apiServiceUrl = source ? new URL("..", source).href.replace(/\/$/, "") : "http://localhost:32168";
  window.serviceTimeoutSec = 30;
  window.pingFrequencySec = 5;

  /** GETs a route such as "server/status/ping"; {success: false, error} when that fails. */
  window.makeGET = function makeGET(path) {
    return ask(path, { method: "GET", cache: "no-store" });
  };

  /** POSTs the fields `name` and `value` to a route; {success: false, error} when that fails. */
  window.makePOST = function makePOST(path, key, value) {
    const form = new FormData();
    form.append("name", key);
    form.append("value", value);
    return ask(path, { method: "POST", body: form });
  };

  window.showError = function showError(status, error) {
    report("danger", status, error);
  };

  window.showWarning = function showWarning(status, warning) {
    report("warning", status, warning);
  };

  window.showInfo = function showInfo(status, info) {
    report("info", status, info);
  };

  /** Adds one line to the status area; `variant` is a colour name such as "info" or "danger". */
  window.showLogOutput = function showLogOutput(text, variant) {
    const area = document.getElementById("status");
    if (!area) return;
    const line = document.createElement("div");
    line.className = `text-${/^[a-z]+$/.test(variant || "") ? variant : "body"}`;
    line.textContent = text;
    area.append(line);
  };

  /** Shows whether a request is under way. */
  window.showCommunication = function showCommunication(active) {
    document.documentElement.classList.toggle("mr-communicating", Boolean(active));
    const results = document.getElementById("results");
    if (results) results.setAttribute("aria-busy", String(Boolean(active)));
  };

  async function ask(path, options) {
    try {
      const response = await fetch(routeUrl(path), { ...options, signal: AbortSignal.timeout(timeoutMs()) });
      if (!response.ok) return { success: false, error: `The server answered with HTTP ${response.status}.` };
      return await response.json();
    } catch (error) {
      return { success: false, error: explain(error) };
    }
  }

  function routeUrl(path) {
    return `${window.apiServiceUrl}/v1/${String(path).replace(/^\/?(v1\/)?/, "")}`;
  }

  // The server that the visitor chose for requests, else the one this script came from.
  function serverUrl() {
    return (document.getElementById("serviceUrl")?.value || window.apiServiceUrl).trim().replace(/\/+$/, "");
  }

  function timeoutMs() {
    const chosen = Number(document.getElementById("serviceTimeoutSecTxt")?.value);
    return 1000 * (chosen > 0 ? chosen : window.serviceTimeoutSec);
  }

  function explain(error) {
    if (error.refused) return error.message;
    if (error.name === "TimeoutError") return `No answer within ${timeoutMs() / 1000} seconds.`;
    if (error.name === "SyntaxError") return "The server's answer is not JSON.";
    return "The server cannot be reached.";
  }

  // One argument is the message; two are a short headline and the message. Either may be missing.
  function report(variant, status, message) {
    const area = document.getElementById("status");
    const text = [status, message].filter((part) => part !== undefined && part !== null && part !== "").join(": ");
    if (!area) {
      console.warn(text);
      return;
    }
    area.textContent = text;
    area.className = text ? `alert alert-${variant}` : "";
  }

  /** For explorer.js and follow.js only. */
  window.millrace = { serverUrl, timeoutMs, explain };
})();
