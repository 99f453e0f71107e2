"""The long texts of a large JSON body, taken out of it and decoded piece by piece.

A decoder goes through a text in one step, which nothing can interrupt: 32 MB of it would hold everybody up for a fifth
of a second. So it gets the body with short stand-ins for its long texts, and what it makes of that gets them back.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

_LONG = 256
"""Bytes. With the limit on the number of items, what is left of a body is a few megabytes at most."""
_PIECE = 64 * 1024
_RUN = re.compile(rb'[^"\\]*(?:\\[\x00-\xff][^"\\]*)*')
"""What may stand between two quotes; it ends before a backslash whose other half is cut off."""
_SPACE = re.compile(rb"[ \t\r\n]+")
_HIGH_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
_ESCAPE_BYTES = 6


class JsonTexts:
    """``text``: the body with stand-ins. ``plain`` and ``encoded`` put back what was taken out, each text once."""

    def __init__(self, body: bytes | bytearray) -> None:
        """Raises what ``msgspec.json.decode`` raises, for a long text that is damaged."""
        self._long: dict[str, list[str]] = {}
        if len(body) <= _PIECE:  # as almost all are: nothing else is made for them
            self.text = bytes(body)
            return
        self._mark = secrets.token_hex(8)
        self.text = b"".join(self._without_long(body))

    def plain(self, text: str) -> str:
        """Return the text that a decoded one stands for: most often itself."""
        return "".join(self._long.pop(text)) if text in self._long else text

    def pieces(self, text: str) -> Iterator[str]:
        """Yield the same piece by piece; each is let go of when the next one is asked for."""
        long = self._long.pop(text, [text])
        for number, piece in enumerate(long):
            long[number] = ""
            yield piece

    def encoded(self, value: Any) -> str:
        """Return a decoded value as JSON again."""
        text = msgspec.json.encode(value).decode()
        return "".join(self._put_back(text)) if self._long else text

    def _put_back(self, text: str) -> Iterator[str]:
        for place, piece in enumerate(re.split(f'"({self._mark}[0-9]+)"', text)):
            if place % 2 == 0:
                yield piece
                continue
            yield '"'
            for part in self.pieces(piece):
                yield msgspec.json.encode(part)[1:-1].decode()
            yield '"'

    def _without_long(self, body: bytes | bytearray) -> Iterator[bytes]:
        start = 0
        while (quote := body.find(b'"', start)) >= 0:
            yield from _compact(body, start, quote)
            start = self._end_of_text(body, quote + 1)
            if start - quote <= _LONG:
                yield bytes(body[quote:start])
            else:
                name = f"{self._mark}{len(self._long)}"
                self._long[name] = [_decoded(body[begin:end]) for begin, end in _pieces(body, quote + 1, start - 1)]
                yield f'"{name}"'.encode()
        yield from _compact(body, start, len(body))

    def _end_of_text(self, body: bytes | bytearray, start: int) -> int:
        """Return the place behind the closing quote. Raises ``msgspec.DecodeError`` when there is none."""
        while start < len(body):
            found = _RUN.match(body, start, start + _PIECE)
            assert found is not None
            if found.end() == len(body) or (found.end() == start and body[start] != _QUOTE):
                break
            start = found.end()
            if body[start] == _QUOTE:
                return start + 1
        raise msgspec.DecodeError("Input data was truncated")


_QUOTE = ord('"')
_BACKSLASH = ord("\\")


def _compact(body: bytes | bytearray, start: int, end: int) -> Iterator[bytes]:
    """Yield what stands between two texts, without white space to speak of."""
    for begin in range(start, end, _PIECE):
        yield _SPACE.sub(b" ", bytes(body[begin : min(end, begin + _PIECE)]))


def _pieces(body: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a text where no character and no escape is cut."""
    while start < end:
        cut = end if end - start <= _PIECE else _cut(body, start, start + _PIECE)
        yield start, cut
        start = cut


def _cut(body: bytes | bytearray, start: int, cut: int) -> int:
    while body[cut] & 0xC0 == 0x80:
        cut -= 1
    last = body.rfind(b"\\", cut - _ESCAPE_BYTES + 1, cut)
    if last >= 0 and _begins_escape(body, start, last) and (body[last + 1] == ord("u") or last == cut - 1):
        cut = last
    half = cut - _ESCAPE_BYTES
    if _HIGH_HALF.match(body, half, cut) and _begins_escape(body, start, half):
        cut = half
    return cut


def _begins_escape(body: bytes | bytearray, start: int, place: int) -> bool:
    """Whether the backslash there is the first half of an escape: an even number of others stands before it."""
    before = place
    while before > start and body[before - 1] == _BACKSLASH:
        before -= 1
    return (place - before) % 2 == 0


def _decoded(piece: bytes | bytearray) -> str:
    return msgspec.json.decode(b'"' + piece + b'"', type=str)
