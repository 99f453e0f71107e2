"""One client's connection: sends bytes as they are, and reads answers as they come."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import NamedTuple

PATIENCE = 1.5
"""Seconds for an answer; who waits for more than a request's end, like a follower, leaves then."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nConnection: *close", re.IGNORECASE)
_JSON = re.compile(rb"\r\nContent-Type: *application/json", re.IGNORECASE)
_BODILESS = (204, 304)
_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)


class Answer(NamedTuple):
    """``status`` is 0 when there was none; ``whole``: it came to its end."""

    status: int
    head: bytes = b""
    body: bytes = b""
    whole: bool = False

    @property
    def is_json(self) -> bool:
        return _JSON.search(self.head) is not None


class Connection:
    """Opened when something is sent, and again when it was closed."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self._port = port
        self._source = source
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, data: bytes, patience: float = PATIENCE) -> Answer:
        """Send one request and return its answer."""
        reader, writer = await self._open()
        watch = asyncio.get_running_loop().call_later(patience, writer.transport.abort)
        status, head, body = 0, b"", b""
        try:
            with contextlib.suppress(ConnectionError):  # it may have answered, and not want the rest
                writer.write(data)
                await writer.drain()
            status, head = await _head(reader)
            keep, body = await _body(reader, status, head, data.startswith(b"HEAD "))
        except _GONE as error:
            self.close()
            return Answer(status, head, body + getattr(error, "partial", b""))
        finally:
            watch.cancel()
        if not keep:
            self.close()
        return Answer(status, head, body, True)

    async def throw(self, data: bytes, patience: float = PATIENCE) -> bytes:
        """Send bytes on a connection of their own, end it, and return all that came."""
        self.close()
        reader, writer = await self._open()
        watch = asyncio.get_running_loop().call_later(patience, writer.transport.abort)
        came = b""
        try:
            writer.write(data)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while piece := await reader.read(65536):
                came += piece
        except _GONE:
            pass
        finally:
            watch.cancel()
            self.close()
        return came

    def close(self) -> None:
        """End the connection at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._streams is None or self._streams[0].at_eof() or self._streams[1].is_closing():
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._source, 0))
        return self._streams


async def _head(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            raise ConnectionError(f"this is no answer: {head[:80]!r}")
        if found[1] != b"100":
            return int(found[1]), head


async def _body(reader: asyncio.StreamReader, status: int, head: bytes, bare: bool) -> tuple[bool, bytes]:
    """Return whether the connection goes on, and the body."""
    keep = not _CLOSE.search(head) and head.startswith(b"HTTP/1.1") and status != 101
    if bare or status in _BODILESS or status == 101:
        return keep, b""
    if _CHUNKED.search(head):
        return keep, await _chunks(reader)
    length = _LENGTH.search(head)
    if length is None:
        return False, await reader.read(-1)
    return keep, await reader.readexactly(int(length[1]))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
