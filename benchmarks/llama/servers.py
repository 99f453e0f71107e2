"""The servers beside each other: Millrace with LlamaChat, and llama.cpp's own. Both stream a chat on request."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from server.config import ROOT

from ..http_connection import request_bytes
from ..millrace import Millrace
from ..processes import Program, folder_of, free_port, wait_until
from .prompts import Message
from .setting import Setting

Sampling = Mapping[str, float]

GREEDY: Sampling = {"temperature": 0}
VARIED: Sampling = {"temperature": 0.4, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
"""LlamaChat's defaults, said aloud because llama.cpp's server has others."""


class ChatServer(Protocol):
    """A server that is started and can be asked."""

    name: str

    @property
    def program(self) -> Program:
        """Its process."""

    def request(self, messages: Sequence[Message], tokens: int, sampling: Sampling) -> bytes:
        """Return the HTTP request for a streamed reply of exactly so many tokens."""


class MillraceChat:
    """Millrace with LlamaChat and nothing else."""

    name = "Millrace"

    def __init__(self, setting: Setting, chats: int, context: int) -> None:
        """``chats``: how many run at once. ``context``: tokens for each."""
        self.program = Millrace(setting.options.cache / "llama", ())
        shutil.copytree(
            ROOT / "modules" / "LlamaChat",
            self.program.folder / "modules" / "LlamaChat",
            ignore=shutil.ignore_patterns("__pycache__", "models"),
        )
        self.program.environment.update(
            {
                "Modules__LlamaChat__LaunchSettings__Parallelism": str(chats),
                "Modules__LlamaChat__LaunchSettings__Command": str(setting.module_python),
                "CPAI_MODULE_LLAMA_MODEL_DIR": str(setting.model.parent),
                "CPAI_MODULE_LLAMA_MODEL_FILENAME": setting.model.name,
                "CPAI_MODULE_LLAMA_CONTEXT": str(context),
                "CPAI_MODULE_LLAMA_THREADS": str(setting.threads),
            }
        )

    def __enter__(self) -> MillraceChat:
        self.program.start()
        self.program.wait_ready("LlamaChat")
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def restart(self) -> None:
        """Stop the server with its module, and start both again; what is on disk stays."""
        self.program.stop()
        self.program.start()
        self.program.wait_ready("LlamaChat")

    def cancel(self, command_ids: Sequence[str]) -> None:
        """End chats that go on though nobody follows them any more, and wait until they have ended."""
        for command_id in command_ids:
            self.program.post(f"/v1/commands/{command_id}/cancel")
        for command_id in command_ids:
            wait_until(f"{command_id} has ended", partial(self._has_ended, command_id))

    def request(self, messages: Sequence[Message], tokens: int, sampling: Sampling) -> bytes:
        """Return a call of the module's own route."""
        body = {"messages": messages, "max_tokens": tokens, "ignore_eos": True, **sampling}
        return request_bytes("POST", "/v1/text/chat", json.dumps(body).encode(), accept="text/event-stream")

    def _has_ended(self, command_id: str) -> bool:
        return self.program.get(f"/v1/commands/{command_id}")["ended_at"] is not None


class LlamaServer:
    """llama.cpp's own server, with its own settings but for the sizes. Prompt caching is on, as it is by default."""

    def __init__(self, setting: Setting, chats: int, context: int) -> None:
        """``chats``: how many run at once. ``context``: tokens for each."""
        built = setting.options.llama_server
        self.name = "llama.cpp's server" if built is None else "llama.cpp's server, built here"
        self.program = _from_wheel(setting, chats, context) if built is None else _built(built, setting, chats, context)

    def __enter__(self) -> LlamaServer:
        self.program.start()
        wait_until("llama.cpp's server has loaded its model", self._is_healthy)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def request(self, messages: Sequence[Message], tokens: int, sampling: Sampling) -> bytes:
        """Return a chat completion."""
        body = {"messages": messages, "max_tokens": tokens, "ignore_eos": True, "stream": True, **sampling}
        body["stream_options"] = {"include_usage": True}
        return request_bytes("POST", "/v1/chat/completions", json.dumps(body).encode())

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.program.port}/health", timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False


def _from_wheel(setting: Setting, chats: int, context: int) -> Program:
    script = folder_of("peers") / "xllamacpp_app.py"
    sizes = (chats, chats * context, setting.threads)
    return Program([str(setting.peer_python), str(script), str(setting.model), *map(str, sizes)])


def _built(program: Path, setting: Setting, chats: int, context: int) -> Program:
    port, threads = free_port(), setting.threads
    sizes = {"-np": chats, "-c": chats * context, "-t": threads, "-tb": threads, "-ngl": 0, "--port": port}
    options = [text for name, size in sizes.items() for text in (name, str(size))]
    return Program([str(program), "-m", str(setting.model), "--host", "127.0.0.1", *options], port=port)
