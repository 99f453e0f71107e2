"""Compressed request bodies: gzip and deflate, whole or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from aiohttp import web

from .bad_request import BadRequestError

PIECE_BYTES = 256 * 1024
"""So much comes out at a time: 1 KB of gzip can hold a megabyte."""
_GZIP = ("gzip", "x-gzip")


def content_encoding(request: web.Request) -> str:
    """Return the encoding of a body, in lower case; empty when it is as it is.

    Raises ``BadRequestError`` for one that is not known.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return ""
    if encoding != "deflate" and encoding not in _GZIP:
        text = f"The content encoding '{encoding}' is not understood. Send the body as it is, or with gzip or deflate."
        raise BadRequestError(text, 415)
    return encoding


class Inflater:
    """Unpacks one body, piece by piece. Raises ``BadRequestError`` where it is damaged."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._part: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next bytes. Gzip may consist of several parts, one after another."""
        full = False
        while data or full:
            if self._part is None:
                self._part = zlib.decompressobj(self._window(data))
            try:
                piece = self._part.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise BadRequestError(f"The body is not valid {self._encoding}: {_plain(error)}.") from None
            yield piece
            data = self._part.unconsumed_tail
            full = len(piece) == PIECE_BYTES  # there may be more of it inside
            if self._part.eof:
                data, self._part, full = self._part.unused_data, None, False

    def end(self) -> None:
        """Say that this was all."""
        if self._part is not None:
            raise BadRequestError(f"The body is not valid {self._encoding}: its end is missing.")

    def _window(self, data: bytes) -> int:
        """Return what zlib must be told: many clients send deflate without the header that belongs to it."""
        if self._encoding in _GZIP:
            return zlib.MAX_WBITS | 16
        has_header = data[0] & 0xF == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _plain(error: zlib.error) -> str:
    """Zlib's own words, such as ``incorrect header check``."""
    return str(error).rpartition(": ")[2]
