"""One streamed reply, followed with as little work as can be, and the times at which its text came.

The same client reads Millrace's event streams and those of servers that speak OpenAI's chat completions.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import msgspec

PATIENCE = 900.0
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_EVENT_END = b"\n\n"
_COMMAND_ID = re.compile(rb"\r\nx-command-id: *([^\r]+)", re.IGNORECASE)
_TEXT = re.compile(rb'"(?:text|content)":\s*("(?:[^"\\]|\\.)+")')


class StreamError(Exception):
    """A reply that did not come as it should; the text shows what came."""


class ChatSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One reply. ``first`` and ``ended``: seconds since it was asked for; ``cached``: prompt tokens without work."""

    first: float
    ended: float
    tokens: int
    prompt_tokens: int
    cached: int
    text: str


class ChatStream(asyncio.Protocol):
    """Asks once, on a connection of its own, and notes the reply until its end.

    ``asked`` and ``pieces`` are times on the monotonic clock: of the request, and of each piece of text. ``begun`` is
    set with the first piece. ``command_id``: what Millrace calls this chat; empty with other servers.
    """

    def __init__(self, request: bytes) -> None:
        self.pieces: list[float] = []
        self.begun = asyncio.Event()
        self.command_id = ""
        self.seen: asyncio.Future[ChatSeen] = asyncio.get_running_loop().create_future()
        self._request = request
        self.asked = 0.0
        self._received = b""  # not yet taken apart: the head, then chunks
        self._in_body = False
        self._event = b""  # the last one, as far as it is there
        self._events: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class

    def connection_lost(self, exc: Exception | None) -> None:
        """Without its last chunk, a stream has been cut off."""
        self._fail(exc or StreamError(f"the stream was cut off after {self._events[-3:]}"))

    def ask(self) -> None:
        """Send the request; from now on time counts."""
        assert self._transport is not None
        self.asked = time.monotonic()
        self._transport.write(self._request)

    def leave(self) -> None:
        """Go away before the end, as a client does that wants no more."""
        self.seen.cancel()
        self._close()

    def data_received(self, data: bytes) -> None:
        """Take whole chunks out of what has come."""
        self._received += data
        if not self._in_body and not self._read_head():
            return
        while not self.seen.done():
            size_text, found, rest = self._received.partition(_LINE_END)
            size = int(size_text, 16) if found else 0
            if not found or len(rest) < size + len(_LINE_END):
                return
            self._received = rest[size + len(_LINE_END) :]
            if size == 0:
                self._end()
            else:
                self._read(rest[:size])

    def _read_head(self) -> bool:
        head, found, rest = self._received.partition(_HEAD_END)
        if found and (head[9:12] != b"200" or b"chunked" not in head.lower()):
            self._fail(StreamError(f"no stream but {self._received[:500]!r}"))
        elif found:
            self._in_body, self._received = True, rest
            named = _COMMAND_ID.search(head)
            self.command_id = named.group(1).decode() if named else ""
        return self._in_body

    def _read(self, data: bytes) -> None:
        now = time.monotonic()
        *events, self._event = (self._event + data).split(_EVENT_END)
        self._events += events
        new = sum(1 for event in events if _TEXT.search(event))
        if new:
            self.pieces += [now] * new
            self.begun.set()

    def _end(self) -> None:
        ended = time.monotonic()
        events = b"\n".join(self._events)
        tokens = _count(events, b"completion_tokens")
        if not tokens or not self.pieces:
            self._fail(StreamError(f"a reply without text or without its usage: {events[-500:]!r}"))
            return
        self.seen.set_result(
            ChatSeen(
                first=self.pieces[0] - self.asked,
                ended=ended - self.asked,
                tokens=tokens,
                prompt_tokens=_count(events, b"prompt_tokens"),
                cached=_count(events, b"cached_tokens"),
                text="".join(json.loads(piece) for piece in _TEXT.findall(events)),
            )
        )
        self._close()

    def _fail(self, error: Exception) -> None:
        if not self.seen.done():
            self.seen.set_exception(error)
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def longest_gap(pieces: Sequence[float]) -> float:
    """Return the longest time between two pieces; 0 when there are fewer."""
    return max((later - earlier for earlier, later in pairwise(pieces)), default=0.0)


async def open_chat(port: int, request: bytes) -> ChatStream:
    """Connect to a server on this machine; nothing is asked yet. Raises ``OSError`` without a server."""
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(lambda: ChatStream(request), "127.0.0.1", port))[1]


async def ask_all(port: int, requests: Sequence[bytes]) -> list[ChatSeen]:
    """Ask everything at once; return the replies when all have ended. Raises ``StreamError``."""
    streams = [await open_chat(port, request) for request in requests]
    for stream in streams:
        stream.ask()
    return await asyncio.wait_for(asyncio.gather(*(stream.seen for stream in streams)), PATIENCE)


def _count(events: bytes, name: bytes) -> int:
    """Return the last number under a name; 0 when there is none."""
    found = re.findall(rb'"' + name + rb'":\s*(\d+)', events)
    return int(found[-1]) if found else 0
