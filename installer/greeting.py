"""The first minute of a running server: wait until LlamaChat is ready, and have one real chat with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from .http_client import HttpClient, NoAnswerError
from .module_states import ModuleStates, settled, works
from .progress import Progress, duration

MODULE = "LlamaChat"
BUILT_IN_MODEL = "millrace-tiny.gguf"
PROMPT = "What is Millrace?"
"""For the built-in model, which knows that and nothing else."""
OTHER_PROMPT = "Say hello in one short sentence."
"""For any other: what it would say about Millrace would be invented."""
MAX_TOKENS = 96
READY_LIMIT = 2700.0
"""Seconds that LlamaChat may take to become ready; on a small machine building llama.cpp takes most of them."""
_ABSENT_AFTER = 10.0
"""Seconds after which a server that does not list the module is believed not to have it."""
_SILENCE = 180.0
"""Seconds without a new word after which the chat counts as stuck."""
_LONGEST = 300.0
"""Seconds after which the chat is long enough, whatever it does."""


class GreetingError(Exception):
    """The first chat did not go well; the text says how. The server runs all the same."""


class Greeting:
    """Talks to LlamaChat on one server."""

    def __init__(self, client: HttpClient, progress: Progress, states: ModuleStates) -> None:
        self._client = client
        self._progress = progress
        self._states = states

    def wait_until_ready(self, limit: float = READY_LIMIT) -> bool:
        """Wait for LlamaChat while the modules' states are shown; returns whether it is ready for a chat.

        Raises GreetingError when it takes longer than ``limit`` seconds, CutShortError when the server has gone.
        """
        started, first_answer = time.monotonic(), 0.0
        while time.monotonic() - started < limit:
            modules = self._states.look()
            if modules is not None:
                first_answer = first_answer or time.monotonic()
                module = modules.get(MODULE)
                if module is None:
                    if time.monotonic() - first_answer > _ABSENT_AFTER:
                        return False
                elif model_problem(module):
                    raise GreetingError(f"{MODULE} has no model to chat with. {model_problem(module)}")
                elif settled(module) and not _is_downloading(module):
                    return works(module)
                else:
                    self._states.sign_of_life(_what(module))
            self._states.wait(0.2)
        raise GreetingError(
            f"{MODULE} was not ready within {duration(limit)}. It goes on; the page in the browser shows how it is."
        )

    def prompt(self) -> str | None:
        """What to ask the model that LlamaChat has loaded; None when there is none that chats."""
        answer = self._call("/v1/text/models", {})
        models = [one for one in answer.get("models") or [] if isinstance(one, dict)]
        loaded = next((one for one in models if one.get("loaded")), None)
        if loaded is None:
            return None if answer.get("success") else OTHER_PROMPT
        if loaded.get("kind") != "chat":
            return None
        return PROMPT if loaded.get("file") == BUILT_IN_MODEL else OTHER_PROMPT

    def chat(self, prompt: str) -> str:
        """Send a prompt and print the reply while it grows; returns the whole reply.

        Raises GreetingError when the chat ends in an error, without a word or not at all, CutShortError when the
        server has gone.
        """
        self._progress.say(f"\nYou: {prompt}")
        self._progress.write(f"{MODULE}: ")
        answer = self._call("/v1/text/chat", {"prompt": prompt, "max_tokens": str(MAX_TOKENS), "reasoning": "false"})
        command_id = str(answer.get("commandId"))
        try:
            shown, answer = self._follow(command_id, answer)
        except GreetingError:
            self._cancel(command_id)
            raise
        if not shown.strip():
            # A model may spend all it was given on thinking, which is no failure.
            if not answer.get("reasoning"):
                raise GreetingError(f"The first chat ended without a word: {answer}")
            self._progress.write("(thought about it, and was given no more words than that)")
        self._progress.write("" if shown.endswith("\n") else "\n")
        return shown

    def _follow(self, command_id: str, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Print the reply as it grows; returns all of it, and the last answer."""
        shown, begun = "", time.monotonic()
        last_growth = begun
        while True:
            if not answer.get("success"):
                raise GreetingError(f"The first chat failed: {answer.get('error') or answer}")
            reply = str(answer.get("reply") or "")
            if len(reply) > len(shown):
                self._progress.write(reply[len(shown) :])
                shown, last_growth = reply, time.monotonic()
            if answer.get("commandStatus") != "running":
                return shown, answer
            now = time.monotonic()
            if now - last_growth > _SILENCE or now - begun > _LONGEST:
                raise GreetingError(f"The first chat got stuck: no end after {duration(now - begun)}.")
            self._states.wait(0.05)
            answer = self._call(f"/v1/{MODULE}/get_command_status", {"commandId": command_id})

    def _cancel(self, command_id: str) -> None:
        with contextlib.suppress(NoAnswerError):
            self._client.post(f"/v1/{MODULE}/cancel_command", {"commandId": command_id})

    def _call(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        try:
            return self._client.post(path, fields)
        except NoAnswerError as error:
            self._states.wait(0.5)  # a server that is going away explains it better than a broken connection
            raise GreetingError(f"The server did not answer {path}: {error}") from error


def model_problem(module: Mapping[str, Any]) -> str:
    """Why LlamaChat has no model, in its own words; empty when it has one, or is still at it."""
    if module.get("state") == "NotReady":
        return str(module.get("stateReason") or "It does not say why.")
    data = module.get("statusData")
    return str(data.get("error") or "") if isinstance(data, dict) and data.get("modelLoaded") is False else ""


def _is_downloading(module: Mapping[str, Any]) -> bool:
    data = module.get("statusData")
    return works(module) and isinstance(data, dict) and data.get("modelLoaded") is False


def _what(module: Mapping[str, Any]) -> str:
    data = module.get("statusData")
    download = data.get("download") if isinstance(data, dict) else None
    if not isinstance(download, dict) or not download.get("totalBytes"):
        return MODULE
    percent = 100 * int(download.get("bytes") or 0) // int(download["totalBytes"])
    return f"its model, {download.get('file')}, of which {percent} % are here,"
