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
        """Go from frame to frame, and return what passes."""
        passed: list[bytes] = []
        begin = position = 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                if self._leaving is not None:
                    passed += (data[begin:position], self._leave(self._leaving, data[position : position + step]))
                    begin = position + step
                position += step
                continue
            header = _header(data, position)
            if header is None:
                self._begun, data = data[position:], data[:position]
                break
            size, self._left, mask, whole = header
            if self._left and (self._left > self.most or (self.whole_only and not whole)):
                self._leaving = LeftOut(self._left, mask)
                passed.append(data[begin:position])
                begin = position + size
            position += size
        return b"".join((*passed, data[begin:])) if passed else data

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


def _header(data: bytes, at: int) -> tuple[int, int, bytes, bool] | None:
    """Read the header of a frame (RFC 6455, 5.2); ``None`` when it is not all there.

    Return its own size, the length of the payload, the mask, and whether the frame is a message by itself.
    """
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    flag = second & 0x7F
    extended = 0 if flag < 126 else 2 if flag == 126 else 8
    masked = second & 0x80
    end = at + 2 + extended + (4 if masked else 0)
    if len(data) < end:
        return None
    length = int.from_bytes(data[at + 2 : at + 2 + extended], "big") if extended else flag
    opcode = first & 0x0F
    whole = opcode >= _CONTROL_FRAMES or (bool(first & 0x80) and opcode != 0)
    return end - at, length, data[end - 4 : end] if masked else b"", whole
