"""One event stream, read with as little work as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

_WAITING = b"waiting"
_LAST_CHUNK = b"0\r\n\r\n"
_EVENT_END = b"\n\n"


class StreamConnection(asyncio.Protocol):
    """Asks for a stream, and passes on what comes after its word that it waits, chunk frames and all."""

    def __init__(
        self, method: str, path: str, on_waiting: Callable[[], None], on_data: Callable[[bytes], None]
    ) -> None:
        """``on_data`` gets bytes that begin and end between two events."""
        self._request = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        self._on_waiting = on_waiting
        self._on_data = on_data
        self._waits = False
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Without its last chunk, a stream has been cut off."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the stream was cut off"))

    def data_received(self, data: bytes) -> None:
        """Pass on whole events."""
        data = self._received + data
        if not self._waits:
            if _WAITING not in data:
                self._received = data
                return
            self._waits = True
            self._on_waiting()
            data = data.partition(_WAITING)[2]
        end = data.rfind(_EVENT_END) + 1  # the second line end begins what comes next
        if end:
            self._on_data(data[:end])
        self._received = data[end:]
        if data.endswith(_LAST_CHUNK):
            self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()
