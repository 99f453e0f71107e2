"""What the server's modules are doing, told in lines as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .http_client import HttpClient, NoAnswerError
from .progress import HEARTBEAT, Progress, duration

_WORDS = {"Backoff": "Waiting for its next start", "Failed": "Does not work", "NotReady": "Cannot work yet"}
"""States whose own words say little."""
_FAULTY = ("Failed", "Backoff", "NotReady")
_TRYING = ("Installing", "Starting", "Stopping")


class CutShortError(Exception):
    """The server ended, or the user asked to stop, while something was waited for."""


class ModuleStates:
    """Looks at the modules of one server. ``pause(seconds)`` waits; it returns False when that has no use any more."""

    def __init__(
        self, client: HttpClient, progress: Progress, pause: Callable[[float], bool], heartbeat: float = HEARTBEAT
    ) -> None:
        self._client = client
        self._progress = progress
        self._pause = pause
        self._heartbeat = heartbeat
        self._told: dict[str, tuple[str, str]] = {}
        self._last_sign = self._started = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait a little. Raises CutShortError when there is no use in going on."""
        if not self._pause(seconds):
            raise CutShortError

    def look(self) -> dict[str, dict[str, Any]] | None:
        """The modules by their ids, after telling what has changed; None when the server does not answer."""
        try:
            listed = self._client.get("/v1/module/list/status", patience=5).get("statuses") or []
        except NoAnswerError:
            return None
        found = {str(one.get("moduleId")): one for one in listed if isinstance(one, dict)}
        for name, module in found.items():
            self._tell_change(name, module)
        return found

    def sign_of_life(self, waiting_for: str) -> None:
        """Say that it goes on, when nothing was said for a while."""
        now = time.monotonic()
        if now - self._last_sign >= self._heartbeat:
            self._say(f"still waiting for {waiting_for} after {duration(now - self._started)}")

    def _tell_change(self, name: str, module: Mapping[str, Any]) -> None:
        state, words = str(module.get("state")), in_words(module)
        before = self._told.get(name, ("", ""))
        # That it is tried again and again is told once, and then how it ends.
        if before == (state, words) or (before[0] == "Backoff" and state in ("Backoff", "Starting")):
            return
        self._told[name] = state, words
        self._say(f"{name}: {words}")

    def _say(self, text: str) -> None:
        self._last_sign = time.monotonic()
        self._progress.say(f"    {text}")


def in_words(module: Mapping[str, Any]) -> str:
    """The state of a module and its reason, in words for people."""
    state = str(module.get("state"))
    reason = str(module.get("stateReason") or "")
    # What is going on says more than the name of the state.
    if reason and state == "Installing":
        return reason
    word = _WORDS.get(state, state)
    return f"{word}: {reason}" if reason else word


def settled(module: Mapping[str, Any]) -> bool:
    """Whether a module is where it stays: ready, or not to become so by itself."""
    return str(module.get("state")) in ("Ready", "Busy", "NotReady", "Failed", "Stopped")


def works(module: Mapping[str, Any]) -> bool:
    """Whether a module is ready for work."""
    return str(module.get("state")) in ("Ready", "Busy")


def problems(modules: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each module that does not work and should, with the cause and what to do."""
    states = {name: str(module.get("state")) for name, module in modules.items()}
    faulty = [name for name, state in states.items() if state in _FAULTY]
    waiting = [name for name, state in states.items() if state in _TRYING]
    reasons = {
        name: " ".join(str(modules[name].get("stateReason") or "no reason was given").split()) for name in faulty
    }
    lines = [f"{name}: {reason}" for name, reason in reasons.items()]
    return [*lines, *(f"{name}: not ready yet ({in_words(modules[name])})" for name in waiting)]
