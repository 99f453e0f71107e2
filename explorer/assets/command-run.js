// One form's command at a time: sent, followed by polling when it is a long one, stopped on request.
import { Unreachable, postForm } from "./api.js";
import { setText } from "./dom.js";
import { duration } from "./format.js";
import { showAnswer, showFailure } from "./answer-view.js";

const POLL_MS = 250;
const SEND_TIMEOUT_MS = 120_000;

export class CommandRun {
  #commandId = null;

  /** `parts`: the elements `send`, `stop`, `progress`, `answer` of the form. */
  constructor(moduleId, path, parts) {
    this.moduleId = moduleId;
    this.path = path;
    this.parts = parts;
  }

  async start(form) {
    const began = performance.now();
    this.#busy(true);
    this.parts.answer.replaceChildren();
    setText(this.parts.progress, "Sending…");
    try {
      const first = await postForm(this.path, form, SEND_TIMEOUT_MS);
      const last = isLong(first) ? await this.#follow(first) : first;
      showAnswer(this.parts.answer, last);
      setText(this.parts.progress, `${endWord(last)} after ${duration(performance.now() - began)}`);
    } catch (error) {
      showFailure(this.parts.answer, error.message, error.body ?? null);
      setText(this.parts.progress, "");
    } finally {
      this.#commandId = null;
      this.#busy(false);
    }
  }

  async cancel() {
    if (!this.#commandId) return;
    this.parts.stop.disabled = true;
    setText(this.parts.progress, "Stopping…");
    try {
      await postForm(`v1/${this.moduleId}/cancel_command`, this.#named());
    } catch (error) {
      setText(this.parts.progress, `It could not be stopped: ${error.message}`);
      this.parts.stop.disabled = false;
    }
  }

  async #follow(first) {
    this.#commandId = first.commandId;
    this.parts.stop.hidden = false;
    this.parts.stop.disabled = false;
    let latest = first;
    while (isLong(latest)) {
      showAnswer(this.parts.answer, latest);
      if (!this.parts.stop.disabled) setText(this.parts.progress, progressOf(latest));
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      latest = await this.#poll(latest);
    }
    return latest;
  }

  // A server that is away for a moment is asked again; it keeps the command.
  async #poll(latest) {
    try {
      return await postForm(`v1/${this.moduleId}/get_command_status`, this.#named());
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      setText(this.parts.progress, "Waiting for the server…");
      return latest;
    }
  }

  #named() {
    const form = new FormData();
    form.append("commandId", this.#commandId);
    form.append("moduleId", this.moduleId);
    return form;
  }

  #busy(busy) {
    this.parts.send.disabled = busy;
    this.parts.stop.hidden = true; // until it is known to be a long command
  }
}

function isLong(answer) {
  return answer.commandStatus === "running" && Boolean(answer.commandId);
}

function progressOf(answer) {
  if (answer.state === "queued" && answer.queuePosition) return `Waiting, number ${answer.queuePosition} in the queue`;
  return String(answer.message || "Running…");
}

function endWord(answer) {
  return answer.stop_reason === "cancelled" || answer.state === "cancelled" ? "Stopped" : "Done";
}
