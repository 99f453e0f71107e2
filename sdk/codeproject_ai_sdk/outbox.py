"""What one command has said and the server has not acknowledged. No I/O.

Deltas and fields that wait to be sent are merged into one event each; what was handed out once is never
changed again, because the server may already have it under that number.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Union

import msgspec

from .protocol import ENVELOPE, MAX_MESSAGE, Delta, Events, Fields, ReplyEvent, Result

LIMIT = 8 * 1024 * 1024
"""Bytes of unacknowledged events after which a writer has to wait."""

BATCH = 256 * 1024
"""Bytes of events in one message, so that other commands' messages need not wait long."""

_OVERHEAD = 128
"""Bytes that an event costs besides its content, roughly."""


class _Text:
    """Deltas merged under one number."""

    def __init__(self, n: int, text: str) -> None:
        self.n = n
        self.parts = [text]
        self.size = len(text) + _OVERHEAD

    def event(self) -> Delta:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return Delta(self.parts[0])


class _Values:
    """Fields merged under one number."""

    def __init__(self, n: int, values: dict[str, msgspec.Raw]) -> None:
        self.n = n
        self.values = dict(values)
        self.size = _size(values)

    def event(self) -> Fields:
        return Fields(dict(self.values))


class _Final:
    """The command's result."""

    def __init__(self, n: int, success: bool, output: bytes, unfinished: bool) -> None:
        self.n = n
        self.success = success
        self.output = output
        self.unfinished = unfinished
        self.size = len(output)


_Entry = Union[_Text, _Values, _Final]  # noqa: UP007  (evaluated on Python 3.10)


class Outbox:
    """One command's numbered events and result, kept until acknowledged. Thread-safe."""

    def __init__(
        self, command_id: str, mark: Callable[[Outbox], None], limit: int = LIMIT, most: int = MAX_MESSAGE
    ) -> None:
        """``mark`` is called, outside of locks, when there is something new to send; it must not block.

        ``most``: bytes of one message; text is sent in pieces, but named values cannot be.
        """
        self.command_id = command_id
        self.started_on: str | None = None
        """What the module runs on, once the command is known to be a long one."""
        self._mark = mark
        self._limit = limit
        self._most = most - ENVELOPE
        self._changed = threading.Condition(threading.Lock())
        self._kept: deque[_Entry] = deque()
        self._size = 0
        self._last = 0
        self._sent = 0
        self._handed_out = 0
        self._marked = False
        self._ended = False
        self._released = False

    @property
    def last(self) -> int:
        """The number of the latest event; 0 before the first."""
        return self._last

    @property
    def done(self) -> bool:
        """True when the result has been acknowledged, and so everything."""
        return self._ended and not self._kept

    def wait_for_room(self) -> None:
        """Return when less than the limit is unacknowledged, or nobody wants the rest any more."""
        if self._size < self._limit:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._size < self._limit or self._released or self._ended)

    def delta(self, text: str) -> None:
        """Append text, however long it is: it is sent in pieces."""
        with self._changed:
            if self._ended:
                return
            for begin in range(0, len(text) or 1, BATCH):
                self._append(text[begin : begin + BATCH])
            fresh = self._set_marked()
        if fresh:
            self._mark(self)

    def fields(self, values: dict[str, msgspec.Raw]) -> None:
        """Set named values. Raises ValueError when they are too long to be sent."""
        size = _size(values)
        if size > self._most:
            name = max(values, key=lambda each: len(bytes(values[each])))
            raise ValueError(
                f"'{name}' is too long: {size} bytes of named values at once, and the most is {self._most}"
            )
        with self._changed:
            if self._ended:
                return
            tail = self._open_tail()
            if isinstance(tail, _Values) and tail.size + size <= self._most:
                tail.values.update(values)
                self._size -= tail.size
                tail.size = _size(tail.values)
                self._size += tail.size
            else:
                self._add(_Values(self._last + 1, values))
            fresh = self._set_marked()
        if fresh:
            self._mark(self)

    def result(self, success: bool, output: bytes, unfinished: bool = False) -> None:
        """Add the final answer; what comes after it is ignored."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._add(_Final(self._last + 1, success, output, unfinished))
            fresh = self._set_marked()
            self._changed.notify_all()
        if fresh:
            self._mark(self)

    def take(self) -> list[Events | Result]:
        """Return the next messages to send, at most about one batch; marks itself again when more is left."""
        with self._changed:
            self._marked = False
            entries, more = self._next_entries()
            if more:
                self._marked = True
        if more:
            self._mark(self)
        return self._messages(entries)

    def acknowledge(self, n: int) -> None:
        """Forget everything up to number ``n``."""
        with self._changed:
            while self._kept and self._kept[0].n <= n:
                self._size -= self._kept.popleft().size
            self._sent = max(self._sent, n)
            self._handed_out = max(self._handed_out, n)
            self._changed.notify_all()

    def resend_after(self, n: int) -> None:
        """The server has everything up to ``n`` and nothing later: send the rest again."""
        self.acknowledge(n)
        with self._changed:
            self._sent = n
            fresh = bool(self._kept) and self._set_marked()
        if fresh:
            self._mark(self)

    def release(self) -> None:
        """Let nobody wait for room any more."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """The server does not want this command any more: forget everything and ignore what comes."""
        with self._changed:
            self._ended = self._released = True
            self._kept.clear()
            self._size = 0
            self._changed.notify_all()

    def _open_tail(self) -> _Entry | None:
        tail = self._kept[-1] if self._kept else None
        return tail if tail is not None and tail.n > self._handed_out else None

    def _append(self, text: str) -> None:
        tail = self._open_tail()
        if isinstance(tail, _Text) and tail.size < BATCH:
            tail.parts.append(text)
            tail.size += len(text)
            self._size += len(text)
        else:
            self._add(_Text(self._last + 1, text))

    def _add(self, entry: _Entry) -> None:
        self._kept.append(entry)
        self._last = entry.n
        self._size += entry.size

    def _set_marked(self) -> bool:
        fresh = not self._marked
        self._marked = True
        return fresh

    def _next_entries(self) -> tuple[list[_Entry], bool]:
        taken: list[_Entry] = []
        size = 0
        # Numbers have no gaps, so the first unsent one is found by counting.
        start = max(0, self._sent + 1 - self._kept[0].n) if self._kept else 0
        for index in range(start, len(self._kept)):
            entry = self._kept[index]
            if taken and size + entry.size > BATCH:
                return taken, True
            taken.append(entry)
            size += entry.size
            self._sent = entry.n
            self._handed_out = max(self._handed_out, entry.n)
        return taken, False

    def _messages(self, entries: list[_Entry]) -> list[Events | Result]:
        # Outside the lock: entries that were handed out do not change any more.
        messages: list[Events | Result] = []
        events: list[ReplyEvent] = []
        for entry in entries:
            if isinstance(entry, _Final):
                continue
            events.append(entry.event())
        if events:
            messages.append(Events(self.command_id, entries[0].n, events))
        if entries and isinstance(entries[-1], _Final):
            final = entries[-1]
            output = msgspec.Raw(final.output)
            messages.append(Result(self.command_id, final.n, final.success, output, final.unfinished))
        return messages


def _size(values: dict[str, msgspec.Raw]) -> int:
    return _OVERHEAD + sum(len(name) + len(bytes(value)) for name, value in values.items())
