"""The first minute of a running server: wait until LlamaChat is ready, and have one real chat with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .http_client import HttpClient, NoAnswerError
from .progress import InstallError, Progress

MODULE = "LlamaChat"
PROMPT = "What is Millrace?"
_ABSENT_AFTER = 10.0
"""Seconds after which a server that does not list the module is believed not to have it."""
_SILENCE = 180.0
"""Seconds without a new word after which the chat counts as stuck."""


class CutShortError(Exception):
    """The server ended, or the user asked to stop, while the greeting was under way."""


class Greeting:
    """Talks to one server. ``pause(seconds)`` waits and returns False when there is no point in going on."""

    def __init__(self, client: HttpClient, progress: Progress, pause: Callable[[float], bool]) -> None:
        self._client = client
        self._progress = progress
        self._pause = pause

    def wait_until_ready(self, limit: float = 900.0) -> bool:
        """Wait for LlamaChat, showing its states; returns whether the server has that module, and runs it.

        Raises InstallError when the module has failed or takes longer than ``limit`` seconds, CutShortError when the
        server has gone.
        """
        seen, started, first_answer = "", time.monotonic(), None
        while time.monotonic() - started < limit:
            statuses = self._statuses()
            if statuses is not None:
                first_answer = first_answer or time.monotonic()
                module = next((one for one in statuses if one.get("moduleId") == MODULE), None)
                if module is None and time.monotonic() - first_answer > _ABSENT_AFTER:
                    return False
                seen = self._show_change(module, seen)
                if module and module.get("state") in ("Ready", "Busy"):
                    return True
                if module and module.get("state") == "Stopped":
                    return False  # somebody wants it so; the reason has been shown
                if module and module.get("state") == "Failed":
                    raise InstallError(f"{MODULE} did not start: {_reason(module)}")
            self._wait(0.2)
        raise InstallError(f"{MODULE} was not ready within {limit:.0f} seconds; it is: {seen or 'not listed'}")

    def can_chat(self) -> bool:
        """Whether the model that LlamaChat has loaded is one that chats, as far as it tells."""
        models = self._call("/v1/text/models", {}).get("models")
        loaded = [one for one in models or [] if isinstance(one, dict) and one.get("loaded")]
        return not any(one.get("kind") == "embedding" for one in loaded)

    def chat(self, prompt: str = PROMPT) -> str:
        """Send a prompt and print the reply while it grows; returns the whole reply.

        Raises InstallError when the chat ends in an error or without a word, CutShortError when the server has gone.
        """
        self._progress.say(f"\nYou: {prompt}")
        self._progress.write(f"{MODULE}: ")
        answer = self._call("/v1/text/chat", {"prompt": prompt})
        shown, last_growth = "", time.monotonic()
        while True:
            if not answer.get("success"):
                raise InstallError(f"The first chat failed: {answer.get('error') or answer}")
            reply = str(answer.get("reply") or "")
            if len(reply) > len(shown):
                self._progress.write(reply[len(shown) :])
                shown, last_growth = reply, time.monotonic()
            if answer.get("commandStatus") != "running":
                break
            if time.monotonic() - last_growth > _SILENCE:
                raise InstallError(f"The first chat got stuck: no new word for {_SILENCE:.0f} seconds.")
            self._wait(0.05)
            answer = self._poll(str(answer.get("commandId")))
        if not shown.strip():
            raise InstallError(f"The first chat ended without a word: {answer}")
        self._progress.write("" if shown.endswith("\n") else "\n")
        return shown

    def _poll(self, command_id: str) -> dict[str, Any]:
        answer = self._call(f"/v1/{MODULE}/get_command_status", {"commandId": command_id})
        return {"commandId": command_id, **answer}

    def _call(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        try:
            return self._client.post(path, fields)
        except NoAnswerError as error:
            self._wait(0.5)  # a server that is going away explains it better than a broken connection
            raise InstallError(f"The server did not answer {path}: {error}") from error

    def _statuses(self) -> list[dict[str, Any]] | None:
        try:
            return list(self._client.get("/v1/module/list/status", patience=5).get("statuses") or [])
        except NoAnswerError:
            return None

    def _show_change(self, module: dict[str, Any] | None, seen: str) -> str:
        state = str(module.get("state")) if module else seen
        if module and state != seen:
            reason = f" ({module['stateReason']})" if module.get("stateReason") else ""
            self._progress.say(f"    {MODULE}: {state}{reason}")
        return state

    def _wait(self, seconds: float) -> None:
        if not self._pause(seconds):
            raise CutShortError


def _reason(module: dict[str, Any]) -> str:
    return f"{module.get('state')}: {module.get('stateReason') or 'no reason was given'}"
