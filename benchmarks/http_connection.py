"""The client of all benchmarks: one keep-alive connection that costs little, so that it hides no server's limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class ProtocolError(Exception):
    """An answer that this client does not understand; it reads only answers with a Content-Length."""


def request_bytes(
    method: str, path: str, body: bytes = b"", content_type: str = "application/json", accept: str = "*/*"
) -> bytes:
    """Return a whole HTTP/1.1 request that keeps its connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n"
    return f"{head}Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def form_with_file(size: int) -> tuple[bytes, str]:
    """Return a multipart form with one file of ``size`` bytes, and its content type."""
    boundary = "benchmark-boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="image.bin"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + os.urandom(size) + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class HttpConnection(asyncio.Protocol):
    """Sends one request at a time and reports each whole answer."""

    def __init__(self, on_answer: Callable[[HttpConnection, int, bytes], None]) -> None:
        """``on_answer`` gets this connection, the status and the body."""
        self._on_answer = on_answer
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""
        self.failure: Exception | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.failure = self.failure or exc
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, request: bytes) -> None:
        """Send a request; its answer is reported to ``on_answer``."""
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Report the answer when all of it is there."""
        self._received = data = self._received + data if self._received else data
        head_end = data.find(_HEAD_END)
        if head_end < 0:
            return
        try:
            end = head_end + len(_HEAD_END) + _content_length(data[:head_end])
        except ProtocolError as error:
            self.failure = error
            self.close()
            return
        if len(data) < end:
            return
        self._received = data[end:]
        self._on_answer(self, int(data[9:12]), data[head_end + len(_HEAD_END) : end])


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(_LENGTH)
    if start < 0:
        raise ProtocolError(f"an answer without Content-Length: {head[:200]!r}")
    return int(lower[start + len(_LENGTH) :].split(b"\r\n", 1)[0])
