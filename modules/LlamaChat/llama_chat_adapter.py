"""The module: answers ``text/chat`` by streaming a reply from ``LlamaChat`` into the command's reply buffer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from chat.completions import usage_of
from chat.inputs import read_inputs
from chat.model_file import local_model
from chat.settings import read_settings
from chat.status import DownloadStatus, status_of
from codeproject_ai_sdk import JSON, LogMethod, ModuleRunner, RequestData
from engine.errors import EngineStoppedError, LlamaChatError
from engine.request import Finish, Generation, Request
from llama_chat import LlamaChat

CRASH_EXIT_CODE = 70
_LAST_WORDS_S = 2.0  # time for the failed commands' answers to reach the server before the process ends


class LlamaChatAdapter(ModuleRunner):
    """Runs as many chats at once as the module's Parallelism says."""

    def initialise(self) -> None:
        """Load the model. A download goes on in the background, and calls say how far it is."""
        self._chat: LlamaChat | None = None
        self._problem: str | None = None
        self._download = DownloadStatus()
        self._settings = read_settings(self.module_path)
        settings = self._settings
        if settings.repo_id and local_model(settings.model_dir, settings.filename, settings.fileglob) is None:
            threading.Thread(target=self._load, name="model-download", daemon=True).start()
        else:
            self._load()

    def process(self, data: RequestData) -> JSON | Callable[[RequestData], JSON]:
        """Check the request and return the long process, or say at once what is wrong."""
        chat = self._chat
        if chat is None:
            return _failure(self._problem or self._download.text())
        try:
            inputs = read_inputs(partial(_all_values, data))
            request = chat.prepare(
                inputs.messages,
                inputs.sampling,
                max_tokens=inputs.max_tokens,
                stop=inputs.stop,
                cancelled=lambda: data.reply.cancelled,
            )
        except LlamaChatError as problem:
            return _failure(str(problem))
        return partial(self.long_process, chat=chat, request=request)

    def long_process(self, data: RequestData, chat: LlamaChat, request: Request) -> JSON:
        """Stream the reply into ``data.reply`` and return the final answer."""
        started = time.monotonic()
        data.reply.write("")  # from now on there is a reply, though an empty one
        try:
            finish = _stream(chat.generate(request), data)
        except LlamaChatError as problem:
            return {**_failure(str(problem)), "reply": data.reply.text, "processMs": _milliseconds_since(started)}
        return {
            "success": True,
            "reply": data.reply.text,
            "stop_reason": finish.reason,
            "usage": usage_of(finish),
            "processMs": _milliseconds_since(started),
            "inferenceMs": finish.inference_ms,
        }

    def module_status(self) -> JSON:
        """Return the model, the device, the settings and the live figures."""
        status: JSON = dict(super().module_status() or {})
        if self._chat is not None:
            status.update(status_of(self._chat))
        else:
            status.update(modelLoaded=False, error=self._problem, download=self._download.values())
        return status

    def cleanup(self) -> None:
        """End all chats and free the model; may be called more than once."""
        chat, self._chat = self._chat, None
        if chat is not None:
            self._problem = "The module is stopping."
            chat.close()

    def selftest(self) -> JSON:
        """Load the model and answer one prompt."""
        if self._chat is None:
            return _failure(self._problem or "There is no model.")
        self._chat.do_chat("Hello", max_tokens=8, temperature=0)
        return {"success": True, "message": "LlamaChat has answered a prompt."}

    def _load(self) -> None:
        settings = self._settings
        try:
            self._chat = LlamaChat(
                repo_id=settings.repo_id,
                fileglob=settings.fileglob,
                filename=settings.filename,
                model_dir=settings.model_dir,
                n_ctx=settings.context,
                n_threads=settings.threads,
                n_gpu_layers=settings.gpu_layers if self.enable_GPU else 0,
                slots=max(1, self.parallelism),
                on_progress=self._note_progress,
                on_crash=self._crashed,
            )
        except Exception as problem:
            # Whatever it is, the module stays up and every call reports it.
            self._problem = str(problem) or type(problem).__name__
            self._say("error", f"LlamaChat cannot load its model. {self._problem}")
            return
        self.can_use_GPU = self._chat.device == "GPU"
        self.inference_device = self._chat.device
        self.inference_library = "llama.cpp"
        model = self._chat.model
        self._say("information", f"LlamaChat has loaded {model.name} ({model.path.name}) on the {self._chat.device}")

    def _note_progress(self, name: str, done: int, total: int) -> None:
        if self._download.note(name, done, total):
            self._say("information", self._download.text())

    def _crashed(self, reason: str) -> None:
        """The engine has told its chats; end the process, so that the server starts a fresh one."""
        self._problem = reason
        self._chat = None
        self._say("critical", reason)
        threading.Timer(_LAST_WORDS_S, os._exit, [CRASH_EXIT_CODE]).start()

    def _say(self, level: str, message: str) -> None:
        self.log(LogMethod.Info | LogMethod.Server, {"message": message, "loglevel": level, "label": "model"})


def _stream(generation: Generation, data: RequestData) -> Finish:
    """Write the growing reply, and return how it ended."""
    for event in generation:
        if isinstance(event, Finish):
            return event
        data.reply.write(event.text)
    raise EngineStoppedError("The reply ended without a reason.")


def _all_values(data: RequestData, name: str) -> list[str]:
    """Return all values the request has under a name, as texts."""
    found: list[str] = []
    for entry in data.value_list or []:
        if entry.get("key") == name:
            value: Any = entry.get("value")
            found.extend(str(text) for text in (value if isinstance(value, list) else [value]) if text is not None)
    return found


def _failure(error: str) -> JSON:
    return {"success": False, "error": error}


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


if __name__ == "__main__":
    LlamaChatAdapter().start_loop()
