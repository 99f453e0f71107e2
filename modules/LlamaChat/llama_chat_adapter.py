"""The module: answers ``text/chat`` by streaming a reply from ``LlamaChat`` into the command's reply buffer.

With an embedding model it answers ``text/embeddings`` instead; ``text/models`` lists the models that are there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from codeproject_ai_sdk import JSON, LogMethod, ModuleRunner, RequestData
from llama_chat import LlamaChat
from llamachat.chat.completions import usage_of
from llamachat.chat.embeddings import answer_embeddings
from llamachat.chat.inputs import read_inputs
from llamachat.chat.model_file import find_model, local_model
from llamachat.chat.model_list import list_models
from llamachat.chat.model_watch import ModelWatch
from llamachat.chat.reply_writer import ReplyWriter
from llamachat.chat.settings import read_settings
from llamachat.chat.status import DownloadStatus, embedder_status_of, status_of
from llamachat.engine.errors import EngineStoppedError, LlamaChatError
from llamachat.engine.gguf_header import is_embedding_model
from llamachat.engine.model import Model
from llamachat.engine.request import Delta, Finish, Request
from text_embedder import TextEmbedder

CRASH_EXIT_CODE = 70
_CHOOSE = "Choose another model (docs/chatting.md says how), or run it as a second instance beside this one."
_CHAT_ONLY = f"The loaded model chats, it makes no vectors of texts. {_CHOOSE}"
_EMBEDDINGS_ONLY = f"The loaded model is an embedding model: it makes vectors of texts and cannot chat. {_CHOOSE}"
_LAST_WORDS_S = 2.0  # time for the failed commands' answers to reach the server before the process ends


class LlamaChatAdapter(ModuleRunner):
    """Runs as many chats at once as the module's Parallelism says."""

    def initialise(self) -> None:
        """Load the model. A download goes on in the background; what keeps it from chatting is its state's reason."""
        self._chat: LlamaChat | None = None
        self._embedder: TextEmbedder | None = None
        self._problem: str | None = None
        self._download = DownloadStatus()
        self._settings = read_settings(self.module_path)
        for complaint in self._settings.complaints:
            self._say("warning", complaint)
        self._watch = ModelWatch(self._local_model, self._load)
        if self._settings.repo_id and self._local_model() is None:
            self.report_not_ready(self._download.text(), passing=True)
            threading.Thread(target=self._watch.load, name="model-download", daemon=True).start()
        else:
            self._watch.load()

    def process(self, data: RequestData) -> JSON | Callable[[RequestData], JSON]:
        """Check the request and return the long process, or say at once what is wrong. Other commands are quick."""
        if data.command == "list_models":
            return self._list_models()
        if data.command == "embed":
            return self._embed(data)
        chat = self._chat
        if chat is None:
            return _failure(self._problem or (_EMBEDDINGS_ONLY if self._embedder else self._download.text()))
        try:
            inputs = read_inputs(partial(_all_values, data))
            request = chat.prepare(
                inputs.messages,
                inputs.sampling,
                max_tokens=inputs.max_tokens,
                stop=inputs.stop,
                logprobs=inputs.logprobs,
                reasoning=inputs.reasoning,
                cancelled=lambda: data.reply.cancelled,
            )
        except LlamaChatError as problem:
            return _failure(str(problem), problem.code)
        return partial(self.long_process, chat=chat, request=request)

    def long_process(self, data: RequestData, chat: LlamaChat, request: Request) -> JSON:
        """Stream the reply into ``data.reply`` and return the final answer."""
        started = time.monotonic()
        writer = ReplyWriter(data.reply)
        try:
            finish = _stream(chat.generate(request), writer)
        except LlamaChatError as problem:
            so_far = {"reply": data.reply.text, "processMs": _milliseconds_since(started)}
            return {**_failure(str(problem), problem.code), **so_far}
        return {
            "success": True,
            "reply": data.reply.text,
            **writer.fields(with_logprobs=request.log_probabilities is not None),
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
        elif self._embedder is not None:
            status.update(embedder_status_of(self._embedder))
        else:
            status.update(modelLoaded=False, error=self._problem, download=self._download.values())
        return status

    def cleanup(self) -> None:
        """End all chats and free the model; may be called more than once."""
        self._watch.stop()
        chat, self._chat = self._chat, None
        if chat is not None:
            self._problem = "The module is stopping."
            chat.close()
        embedder, self._embedder = self._embedder, None
        if embedder is not None:
            self._problem = "The module is stopping."
            embedder.close()

    def selftest(self) -> JSON:
        """Load the model and answer one prompt."""
        if self._embedder is not None:
            self._embedder.embed(["Hello"])
            return {"success": True, "message": "LlamaChat has made a vector of a text."}
        if self._chat is None:
            return _failure(self._problem or "There is no model.")
        self._chat.do_chat("Hello", max_tokens=8, temperature=0)
        return {"success": True, "message": "LlamaChat has answered a prompt."}

    # Commands that are no chats.

    def _list_models(self) -> JSON:
        loaded = self._chat or self._embedder
        return list_models(self._settings.model_dir, loaded.model.path if loaded else None)

    def _embed(self, data: RequestData) -> JSON:
        embedder = self._embedder
        if embedder is None:
            return _failure(self._problem or (_CHAT_ONLY if self._chat else self._download.text()))
        try:
            return answer_embeddings(embedder, partial(_all_values, data), lambda: data.reply.cancelled)
        except LlamaChatError as problem:
            return _failure(str(problem))

    def _local_model(self) -> Path | None:
        settings = self._settings
        return local_model(settings.model_dir, settings.filename, settings.fileglob if settings.repo_id else "")

    def _load(self) -> bool:
        """Load the model and let it say something; False when that failed, and the module's state says why."""
        settings = self._settings
        try:
            path = find_model(
                settings.model_dir, settings.filename, settings.repo_id, settings.fileglob, self._note_progress
            )
            if is_embedding_model(path):
                self._load_embedder(path)
                return True
            self._chat = LlamaChat(
                filename=str(path.absolute()),
                n_ctx=settings.context,
                n_threads=settings.threads,
                n_gpu_layers=settings.gpu_layers if self.enable_GPU else 0,
                slots=max(1, self.parallelism),
                n_batch=settings.batch,
                prompt_cache_dir=settings.prompt_cache_dir,
                prompt_cache_mb=settings.prompt_cache_mb,
                chat_format=settings.chat_format,
                on_crash=self._crashed,
            )
        except Exception as problem:
            # Whatever it is, the module stays up and every call reports it.
            self._problem = str(problem) or type(problem).__name__
            self._say("error", f"LlamaChat cannot load its model. {self._problem}")
            self.report_not_ready(self._problem)
            return False
        self._note_loaded(self._chat.model, self._chat.device)
        return True

    def _load_embedder(self, path: Path) -> None:
        settings = self._settings
        self._embedder = TextEmbedder(
            filename=str(path.absolute()),
            n_ctx=settings.context,
            n_threads=settings.threads,
            n_gpu_layers=settings.gpu_layers if self.enable_GPU else 0,
        )
        self._note_loaded(self._embedder.model, self._embedder.device)

    def _note_loaded(self, model: Model, device: str) -> None:
        self._problem = None
        self.can_use_GPU = device == "GPU"
        self.inference_device = device
        self.inference_library = "llama.cpp"
        self.report_ready()
        self._say("information", f"LlamaChat has loaded {model.name} ({model.path.name}) on the {device}")

    def _note_progress(self, name: str, done: int, total: int) -> None:
        if self._download.note(name, done, total):
            self._say("information", self._download.text())
            self.report_not_ready(self._download.text(), passing=True)

    def _crashed(self, reason: str) -> None:
        """The engine has told its chats; end the process, so that the server starts a fresh one."""
        self._problem = reason
        self._chat = None
        self._say("critical", reason)
        threading.Timer(_LAST_WORDS_S, os._exit, [CRASH_EXIT_CODE]).start()

    def _say(self, level: str, message: str) -> None:
        self.log(LogMethod.Info | LogMethod.Server, {"message": message, "loglevel": level, "label": "model"})


def _stream(events: Iterator[Delta | Finish], writer: ReplyWriter) -> Finish:
    """Write the growing reply, and return how it ended."""
    try:
        for event in events:
            if isinstance(event, Finish):
                return event
            writer.add(event)
    finally:
        writer.flush()
    raise EngineStoppedError("The reply ended without a reason.")


def _all_values(data: RequestData, name: str) -> list[str]:
    """Return all values the request has under a name, as texts."""
    found: list[str] = []
    for entry in data.value_list or []:
        if entry.get("key") == name:
            value: Any = entry.get("value")
            found.extend(str(text) for text in (value if isinstance(value, list) else [value]) if text is not None)
    return found


def _failure(error: str, code: str = "") -> JSON:
    return {"success": False, "error": error, **({"error_code": code} if code else {})}


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


if __name__ == "__main__":
    LlamaChatAdapter().start_loop()
