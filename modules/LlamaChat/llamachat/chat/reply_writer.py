"""Writing a growing reply where the server keeps it: the answer as text, the thinking before it as a field."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from llamachat.engine.request import Delta

from .completions import ReplyParts

_SMALLEST_STEP = 16
_STEPS_PER_LENGTH = 50


_WRITE_EVERY_S = 0.03
"""Each piece wakes the server and whoever follows, which takes processors from the model; nobody reads faster."""


class GrowingReply(Protocol):
    """The part of a command's reply buffer that is needed here."""

    def write(self, text: str) -> None:
        """Append text."""

    def update(self, /, **fields: Any) -> None:
        """Set named values."""


class ReplyWriter:
    """Takes what comes of one reply, and passes it on: the first text at once, the rest in pieces."""

    def __init__(self, reply: GrowingReply, clock: Callable[[], float] = time.monotonic) -> None:
        self._reply = reply
        self._clock = clock
        self._unwritten = ""
        self._write_again = clock()
        self._parts = ReplyParts()
        self._thought = 0  # characters
        self._told = 0
        reply.write("")  # from now on there is a reply, though an empty one

    def add(self, delta: Delta) -> None:
        """Pass on what has come next."""
        self._parts.add(delta)
        if delta.reasoning:
            self._thought += len(delta.text)
            # A field is always sent whole, so the longer it is, the larger are the steps in which it grows.
            if self._thought - self._told >= max(_SMALLEST_STEP, self._thought // _STEPS_PER_LENGTH):
                self._tell()
        else:
            self._tell()
            self._unwritten += delta.text
            if self._clock() >= self._write_again:
                self.flush()

    def flush(self) -> None:
        """Write what is left, when no more comes."""
        if self._unwritten:
            self._reply.write(self._unwritten)
            self._unwritten = ""
            self._write_again = self._clock() + _WRITE_EVERY_S

    def fields(self, *, with_logprobs: bool) -> dict[str, Any]:
        """Return what the final answer says beside the reply; nothing for a plain one."""
        fields: dict[str, Any] = {"reasoning": self._parts.reasoning} if self._thought else {}
        if with_logprobs:
            fields["logprobs"] = self._parts.logprobs
        return fields

    def _tell(self) -> None:
        if self._told < self._thought:
            self._told = self._thought
            self._reply.update(reasoning=self._parts.reasoning)
