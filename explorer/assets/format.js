// Numbers, times and words for people.

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

/** "just now", "12 sec. ago", "3 min. ago", … for an ISO time; "never" for null. */
export function ago(iso, now = Date.now()) {
  const time = Date.parse(iso ?? "");
  if (Number.isNaN(time)) return "never";
  const seconds = Math.max(0, (now - time) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return RELATIVE.format(-Math.round(seconds), "second");
  if (seconds < 3600) return RELATIVE.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86400) return RELATIVE.format(-Math.round(seconds / 3600), "hour");
  return RELATIVE.format(-Math.round(seconds / 86400), "day");
}

/** The full local date and time of an ISO time, or "". */
export function fullTime(iso) {
  const time = new Date(iso ?? "");
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleString();
}

/** Local clock time with seconds of an ISO time. */
export function clock(iso) {
  const time = new Date(iso ?? "");
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString([], { hour12: false });
}

/** "850 ms", "12.3 s", "4 min 5 s", "2 h 3 min". */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const SPELLED = { gpu: "GPU", cpu: "CPU", kv: "KV", id: "id", ms: "(ms)", mb: "(MB)" };

/** "inferenceDevice" → "Inference device", "modelSizeMb" → "Model size (MB)". */
export function label(key) {
  const words = String(key).replace(/_/g, " ").replace(/([a-z0-9])([A-Z])/g, "$1 $2").trim().toLowerCase().split(" ");
  const text = words.map((word) => SPELLED[word] ?? word).join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Any JSON value as one short text. */
export function plain(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return value.toLocaleString("en", { maximumFractionDigits: 2 });
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
