// The states a module can be in, and how they are shown.

const STATES = {
  Ready: { tone: "ok", hint: "" },
  Busy: { tone: "busy", hint: "" },
  NotReady: { tone: "error", label: "Not ready", hint: "It runs, and says that it cannot do its work." },
  Installing: { tone: "wait", hint: "Its environment is being made. This can take minutes the first time." },
  Starting: { tone: "wait", hint: "Its process is starting and has not answered yet." },
  Backoff: {
    tone: "warn", short: "Waiting", label: "Waiting to start again", hint: "It stopped unexpectedly and will be started again shortly.",
  },
  Failed: { tone: "error", hint: "It could not be installed or started, or it kept stopping." },
  Stopping: { tone: "idle", hint: "It is being stopped." },
  Stopped: { tone: "idle", hint: "It is not running." },
};

// For servers that tell the compatible word only.
const FROM_STATUS = {
  Started: "Ready", Starting: "Starting", Restarting: "Starting", AutoStart: "Starting", FailedStart: "Failed",
  Crashed: "Failed", Stopping: "Stopping",
};

/**
 * What one entry of list/status says: `word` is the server's; `label` is for people, `short` where there is little room,
 * `full` with all that is known. `well`: it does its work; `answers`: at least its process takes commands. `reason` is ""
 * when there is nothing to say about it.
 */
export function stateOf(status) {
  const word = status.state || FROM_STATUS[status.status] || "Stopped";
  const { tone = "idle", hint = "", label = word, short = label } = STATES[word] ?? {};
  const well = word === "Ready" || word === "Busy";
  const seconds = status.startsInSecs ?? null;
  const full = seconds === null ? label : `${label} in ${seconds} s`;
  const answers = well || word === "NotReady";
  return { word, label, short, full, tone, well, answers, reason: reasonOf(status, well ? "" : hint) };
}

// The notes are worth knowing whatever the state is; the reason of a module that runs is made of them.
function reasonOf({ stateReason, notes = [] }, hint) {
  const repeated = stateReason === notes.join(" ");
  return [repeated ? "" : stateReason || hint, ...notes].filter(Boolean).map(sentence).join("\n");
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
