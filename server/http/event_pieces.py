"""Events of reply buffers in the form of an event stream, encoded once for all who follow them."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from ..commands.command import Command
from ..commands.reply_buffer import Event, EventKind

PIECE_BYTES = 8 * 1024
"""What is handed to a connection at a time. Only an event that is longer by itself makes a longer piece."""
_KEPT_BYTES = 4 * 1024 * 1024
FINAL = frozenset({EventKind.RESULT, EventKind.ERROR, EventKind.CANCELLED})
_encode = msgspec.json.Encoder().encode


class Piece(msgspec.Struct, frozen=True):
    """Whole events in wire form, and the number of the last of them."""

    data: bytes
    last_seq: int


class EventPieces:
    """The pieces that were made last. Followers of one command are mostly at the same place, and get the same bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], Piece] = OrderedDict()
        self._bytes = 0

    def piece(self, command_id: str, events: list[Event], command: Command | None) -> Piece:
        """Return the first of these events, as many as fit into a piece. ``command``: see ``event_data``."""
        key = (command_id, events[0].seq, events[-1].seq)
        found = self._kept.get(key)
        if found is None:
            found = _piece(events, command)
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[str, int, int], piece: Piece) -> None:
        self._kept[key] = piece
        self._bytes += len(piece.data)
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1].data)


def event_data(event: Event, command: Command | None) -> object:
    """Return the JSON value of an event; the closing one carries the module's final object as ``result``."""
    if event.kind is EventKind.DELTA:
        return {"text": event.data}
    if event.kind in FINAL and command is not None:
        return {**event.data, "result": command.result}
    return event.data


def _piece(events: list[Event], command: Command | None) -> Piece:
    encoded: list[bytes] = []
    size, last = 0, events[0].seq
    for event in events:
        data = _event_bytes(event, command)
        if encoded and size + len(data) > PIECE_BYTES:
            break
        encoded.append(data)
        size, last = size + len(data), event.seq
    return Piece(b"".join(encoded), last)


def _event_bytes(event: Event, command: Command | None) -> bytes:
    data = _encode(event_data(event, command))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.value.encode(), data)
