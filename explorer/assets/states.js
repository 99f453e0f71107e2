// The states a module can be in, and how they are shown.

const STATES = {
  Ready: { tone: "ok", hint: "" },
  Busy: { tone: "busy", hint: "" },
  Installing: { tone: "wait", hint: "Its environment is being made. This can take minutes the first time." },
  Starting: { tone: "wait", hint: "Its process is starting and has not answered yet." },
  Backoff: { tone: "warn", hint: "It stopped unexpectedly and will be started again shortly." },
  Failed: { tone: "error", hint: "It could not be installed or started, or it kept stopping." },
  Stopping: { tone: "idle", hint: "It is being stopped." },
  Stopped: { tone: "idle", hint: "It is not running." },
};

// For servers that tell the compatible word only.
const FROM_STATUS = {
  Started: "Ready", Starting: "Starting", Restarting: "Starting", AutoStart: "Starting", FailedStart: "Failed",
  Crashed: "Failed", Stopping: "Stopping",
};

/** `{word, tone, reason}` of one entry of list/status; `reason` is "" when the module is well. */
export function stateOf(status) {
  const word = status.state || FROM_STATUS[status.status] || "Stopped";
  const known = STATES[word] ?? { tone: "idle", hint: "" };
  const well = word === "Ready" || word === "Busy";
  return { word, tone: known.tone, well, reason: well ? "" : sentence(status.stateReason || known.hint) };
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
