"""Multipart forms, part by part as they arrive: no more is kept of them than the headers of one part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import multipart

from .bad_request import BadRequestError, shortened
from .body_limits import BodyLimits
from .part_headers import PartHeaders, parameters, part_headers

_EVENTS_AT_ONCE = 32
"""After so many, others have their turn: a piece of 64 KiB can hold a thousand parts."""
_LONGEST_BOUNDARY = 70


class MultipartForm:
    """The parts of one form, in order. Every method raises ``BadRequestError``."""

    def __init__(self, content_type: str, pieces: AsyncIterator[bytes], limits: BodyLimits) -> None:
        self._limits = limits
        self._parser = _Parser(
            _boundary(content_type),
            max_header_size=limits.part_header_bytes,
            max_header_count=limits.part_headers,
            header_charset="latin-1",
        )
        self._events = self._parse(pieces)

    async def next(self) -> PartHeaders | None:
        """Return the headers of the next part, or ``None``; what is left of this one is passed over."""
        async for event in self._events:
            if isinstance(event, PartHeaders):
                if event.kind.startswith("multipart/"):
                    raise BadRequestError("A multipart body inside a multipart body is not understood.")
                return event
        return None

    async def data(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the part whose headers came last."""
        async for event in self._events:
            if event is None:
                return
            assert isinstance(event, bytes)
            yield event

    async def _parse(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[PartHeaders | bytes | None]:
        events = outside = 0
        in_part = False
        try:
            async for piece in pieces:
                outside += 0 if in_part else len(piece)
                for event in self._parser.parse(piece):
                    events, outside = events + 1, 0
                    in_part = event is not None
                    yield part_headers(event.headerlist) if isinstance(event, multipart.MultipartSegment) else event
                    if events % _EVENTS_AT_ONCE == 0:
                        await asyncio.sleep(0)
                if outside > self._limits.preamble_bytes:
                    raise BadRequestError("The multipart body has too much text outside of its parts.")
            if outside or events:
                self._parser.close()
        except multipart.MultipartError as error:
            raise BadRequestError(f"The multipart body cannot be read: {shortened(str(error.args[0]))}") from None


class _Parser(multipart.PushMultipartParser):  # type: ignore[misc]  # the package does not export its types
    """Takes every part that can be told apart, also one whose disposition is missing or unusual."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> Any:
        return multipart.MultipartSegment(headerlist)


def _boundary(content_type: str) -> bytes:
    boundary = parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or "\n" in boundary:
        text = f"its Content-Type names no boundary of 1 to {_LONGEST_BOUNDARY} characters."
        raise BadRequestError(f"The multipart body cannot be read: {text}")
    return boundary.encode("utf-8", "surrogateescape")
