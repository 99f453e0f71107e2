"""The reply buffer: the append-only, numbered event log of one command."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from .reply_text import ReplyText


class EventKind(str, enum.Enum):
    """What an event of a reply buffer says."""

    QUEUED = "queued"
    STARTED = "started"
    DELTA = "delta"
    FIELDS = "fields"
    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


class NewEvent(msgspec.Struct, frozen=True):
    """An event before it has its number. ``n`` is the module's own number of it, 0 when the server made it."""

    kind: EventKind
    data: Any
    n: int = 0


class Event(msgspec.Struct, frozen=True):
    """One numbered event. ``data``: text for a delta, an object for the other kinds."""

    seq: int
    kind: EventKind
    data: Any
    n: int = 0


class EventPage(msgspec.Struct, frozen=True):
    """The events after a given number. ``gone`` is true when some of them are no longer kept.

    ``more``: there are later ones, which were not asked for.
    """

    events: list[Event]
    ended: bool
    gone: bool = False
    more: bool = False


class Reply(msgspec.Struct, frozen=True):
    """What a poll shows: the text so far (``None``: the module writes none, or nobody asked) and the fields so far."""

    text: str | None
    fields: dict[str, Any]
    last_seq: int
    text_length: int


class ReplyBuffer:
    """Gap-free numbered events, bounded in bytes; text and fields so far are derived from them.

    When the bound is passed the oldest events are dropped, so a late reader may be told that history is
    gone, but the text so far stays whole: it is what polling clients see. With every ``started`` event, so also when a
    command is delivered again, text, fields and the module's numbers begin anew.
    """

    def __init__(self, max_bytes: int, text: ReplyText | None = None) -> None:
        self._events: list[Event] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._max_bytes = max_bytes
        self.text = text or ReplyText()
        self._fields: dict[str, Any] = {}
        self.last_seq = 0
        self.last_n = 0
        """The highest module-side number seen; a repeat after a reconnect is dropped by it."""

    def append(self, new: NewEvent) -> Event | None:
        """Number and keep an event; return it, or ``None`` when its ``n`` was seen before."""
        if new.n and new.n <= self.last_n:
            return None
        event = Event(self.last_seq + 1, new.kind, new.data, new.n)
        self._keep(event)
        return event

    def restore(self, event: Event) -> None:
        """Keep an event read back from disk, with the number it had."""
        self._keep(event)

    def after(self, seq: int, most: int | None = None) -> tuple[list[Event], bool, bool]:
        """Return the kept events with a number above ``seq``, at most ``most`` of them.

        Also whether older ones of them are gone, and whether there are more.
        """
        first_kept = self._events[0].seq if self._events else self.last_seq + 1
        skip = max(0, seq + 1 - first_kept)
        found = self._events[skip:] if most is None else self._events[skip : skip + most]
        return found, seq + 1 < first_kept, skip + len(found) < len(self._events)

    def trim(self) -> None:
        """Drop the events but the last, which says how it ended; text and fields so far stay."""
        self._drop(len(self._events) - 1)

    def reply(self) -> Reply:
        """Return the fields so far, and how long the text is."""
        return Reply(None, dict(self._fields), self.last_seq, self.text.length)

    def _begin_anew(self) -> None:
        self.text.clear()
        self._fields = {}
        self.last_n = 0

    def _keep(self, event: Event) -> None:
        self.last_seq = event.seq
        self.last_n = max(self.last_n, event.n)
        if event.kind is EventKind.STARTED:
            self._begin_anew()
        if event.kind is EventKind.DELTA:
            self.text.add(event.data)
            size = len(event.data) + 64
        else:
            if event.kind is EventKind.FIELDS:
                self._fields.update(event.data)
            size = len(msgspec.json.encode(event.data)) + 64
        self._events.append(event)
        self._sizes.append(size)
        self._bytes += size
        if self._bytes > self._max_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """Drop the oldest: an eighth at once, because to drop a few from so long a list costs as much."""
        count, left = 0, self._bytes
        while left > self._max_bytes * 7 // 8 and count < len(self._events) - 1:
            left -= self._sizes[count]
            count += 1
        self._drop(count)

    def _drop(self, count: int) -> None:
        if count > 0:
            self._bytes -= sum(self._sizes[:count])
            del self._events[:count], self._sizes[:count]
