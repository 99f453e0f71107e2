"""The reply buffer of one command, as the module sees it."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import msgspec

from .answers import encode_value
from .texts import encodable


class EventSink(Protocol):
    """Where a reply's events go. ``wait_for_room`` may block the module; the others must not."""

    def wait_for_room(self) -> None:
        """Return when another event may be added."""

    def delta(self, text: str) -> None:
        """Append text."""

    def fields(self, values: dict[str, msgspec.Raw]) -> None:
        """Set named values, already encoded."""

    def release(self) -> None:
        """Let nobody wait for room any more."""


class Reply:
    """One command's reply: growing text, named fields, and whether the client still wants it. Thread-safe."""

    def __init__(self, sink: EventSink | None = None) -> None:
        """Without a sink the reply is only kept here, as in a self test."""
        self._sink = sink
        self._lock = threading.Lock()
        self._parts: list[str] = []
        self._fields: dict[str, msgspec.Raw] = {}
        self._cancelled = False
        self.cancel_seen = False
        """The module has looked at ``cancelled`` and found it true: what it does now may be cut short."""

    def write(self, text: str) -> None:
        """Append text to the reply. Raises TypeError when ``text`` is not a string.

        The first write, even of an empty text, lets polls show a ``reply``. Blocks only while more than 8 MiB of this
        reply wait for the server.
        """
        if not isinstance(text, str):
            raise TypeError(f"reply.write() needs a string, not {type(text).__name__}")
        if not text and self._parts:
            return
        text = encodable(text)  # a tokenizer's mistake must not end the reply
        if self._sink is not None:
            self._sink.wait_for_room()
        with self._lock:
            self._parts.append(text)
            if self._sink is not None:
                self._sink.delta(text)

    def update(self, /, **fields: Any) -> None:
        """Set named values that a poll shows from now on, e.g. ``update(step=3, steps=40)``.

        Raises TypeError when a value cannot be written as JSON, ValueError when it is too long to be sent (64 MiB).
        """
        if not fields:
            return
        values = {encodable(name): encode_value(name, value) for name, value in fields.items()}
        if self._sink is not None:
            self._sink.wait_for_room()
        with self._lock:
            if self._sink is not None:
                self._sink.fields(values)
            self._fields.update(values)

    @property
    def text(self) -> str:
        """The whole text written so far."""
        with self._lock:
            if len(self._parts) > 1:
                self._parts = ["".join(self._parts)]
            return self._parts[0] if self._parts else ""

    @property
    def fields(self) -> dict[str, Any]:
        """The named values so far, each as it was when ``update`` was called."""
        with self._lock:
            return {name: msgspec.json.decode(value) for name, value in self._fields.items()}

    @property
    def cancelled(self) -> bool:
        """True from the moment somebody cancelled this command; the long process should then return soon."""
        if self._cancelled:
            self.cancel_seen = True
        return self._cancelled

    @property
    def cancel_requested(self) -> bool:
        """The same as ``cancelled``, for the runner: the module has not been told by this."""
        return self._cancelled

    def request_cancel(self) -> None:
        """Make ``cancelled`` true. Called by the runner."""
        self._cancelled = True
        if self._sink is not None:
            self._sink.release()
