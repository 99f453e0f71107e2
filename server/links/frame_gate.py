"""How long one WebSocket frame may be. A longer one is left out while it arrives, and nothing of it is kept.

In its place comes an empty message; ``left_out`` has the beginning of what was there, which says whose it was.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import msgspec
from aiohttp import web

_HEAD_BYTES = 256
_EMPTY_TEXT_FRAME = b"\x81\x00"
_CONTROL_FRAMES = 8
"""Their opcodes begin here."""


class Parser(Protocol):
    """What takes the bytes of a connection, as aiohttp's reader of frames does."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes."""

    def feed_eof(self) -> None:
        """Take the end."""


class LeftOut(msgspec.Struct):
    """A frame that was too long: its length in bytes, and how its payload begins."""

    length: int
    mask: bytes
    masked: bytes = b""

    @property
    def head(self) -> bytes:
        """The first bytes of the payload."""
        if not self.mask:
            return self.masked
        return bytes(byte ^ self.mask[index % 4] for index, byte in enumerate(self.masked))


class FrameGate:
    """Stands before the reader of one connection. ``most``: bytes of a frame; ``whole_only``: no message in parts."""

    def __init__(self, reader: Parser, most: int) -> None:
        self.most = most
        self.whole_only = True
        self.left_out: deque[LeftOut] = deque()
        self._reader = reader
        self._begun = b""
        self._left = 0
        self._leaving: LeftOut | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass on what is not too long."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        if self._leaving is None and self._left >= len(data):
            self._left -= len(data)
        else:
            data = self._sift(bytes(data))
        return self._reader.feed_data(data) if data else (False, b"")

    def feed_eof(self) -> None:
        """Pass on the end."""
        self._reader.feed_eof()

    def open(self, most: int) -> None:
        """From now on messages may be so long, and come in parts."""
        self.most, self.whole_only = most, False

    def _sift(self, data: bytes) -> bytes:
        """Return what passes."""
        parts: list[bytes] = []
        position, size = 0, len(data)
        while position < size:
            leaving, begin = self._leaving, position
            if leaving is not None:
                position = min(begin + self._left, size)
                self._left -= position - begin
                parts.append(self._leave(leaving, data[begin : min(position, begin + _HEAD_BYTES)]))
                continue
            end, position = self._go(data, begin, size)
            if end == size and not parts:
                return data
            parts.append(data[begin:end])
        return b"".join(parts)

    def _go(self, data: bytes, position: int, size: int) -> tuple[int, int]:
        """Go from frame to frame; return where what passes ends, and where to go on behind it."""
        position, self._left = position + self._left, 0
        while position < size:
            header = _header(data, position, size)
            if header is None:
                self._begun = data[position:]
                return position, size
            begin, length, whole = header
            if length > self.most or (length and self.whole_only and not whole):
                self._left, self._leaving = length, LeftOut(length, _mask(data, position, begin))
                return position, begin
            position = begin + length
        self._left = position - size
        return size, size

    def _leave(self, leaving: LeftOut, data: bytes) -> bytes:
        """Leave out a part of a payload. It is told as soon as its beginning is known: the rest may never come."""
        before, needed = len(leaving.masked), min(_HEAD_BYTES, leaving.length)
        leaving.masked += data[: needed - before]
        if self._left == 0:
            self._leaving = None
        if before == needed or len(leaving.masked) < needed:
            return b""
        self.left_out.append(leaving)
        return _EMPTY_TEXT_FRAME


def gate_before(request: web.Request, most: int) -> FrameGate:
    """Put a gate before the frames of a WebSocket that has been prepared; so far only ``most`` bytes, in one part."""
    protocol: Any = request.protocol
    gate = FrameGate(protocol._payload_parser, most)
    protocol._payload_parser = gate  # aiohttp's own limit is one for the life of a connection
    return gate


def _header(data: bytes, at: int, size: int) -> tuple[int, int, bool] | None:
    """Read the header of a frame (RFC 6455, 5.2); ``None`` when it is not all there.

    Return where the payload begins, how long it is, and whether the frame is a message by itself.
    """
    if size < at + 2:
        return None
    first, second = data[at], data[at + 1]
    length, begin = second & 0x7F, at + (6 if second & 0x80 else 2)
    if length > 125:
        extended = 2 if length == 126 else 8
        begin += extended
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
    if size < begin:
        return None
    return begin, length, first & 0x8F > 0x80 or first & 0x08 != 0


def _mask(data: bytes, at: int, begin: int) -> bytes:
    return data[begin - 4 : begin] if data[at + 1] & 0x80 else b""
