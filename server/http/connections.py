"""The open connections: how many there may be, and how long one may do nothing.

A connection that waits for an answer, follows a reply or speaks as a channel may do so as long as it likes. One that
sends nothing, or half a request, may not; and when there are too many, the one that has done nothing for longest makes
room for a new one. So nobody can use up the descriptors that the modules need. One whose body has to be read before
anybody knows whose it is makes room as well: a byte now and then would hold it for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import time
from collections.abc import Callable
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .bad_request import BadRequestError

NewHandler = Callable[[], web.RequestHandler]
STRANGER = web.RequestKey("stranger", bool)
"""Whether a body is still being read to learn who sent it: until then its connection is no better than an idle one."""
_SWEEP_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 0.2
_SAY_AGAIN_SECONDS = 60.0
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)
_FULL_BODY = b'{"success":false,"code":503,"error":"The server has as many connections as it can. Try again soon."}'


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``most``: connections at a time. The others are seconds.

    ``header``: from the first byte, or from the connection, to the end of a request's headers; ``idle``: between two
    requests; ``body``: without a byte of a body that has begun.

    ``unsent``: bytes of all answers together that wait for their readers.
    """

    most: int
    header: float
    idle: float
    body: float
    unsent: int = 256 * 1024 * 1024


class BodyStalledError(BadRequestError, asyncio.TimeoutError):
    """Nothing more has come of a body. To aiohttp it is a time-out, after which it gives up reading."""


class _Doing(enum.Enum):
    HEADER = "header"
    ANSWERING = "answering"
    NOTHING = "nothing"


class Connections:
    """Accepts connections and watches them. Its ``middleware`` must be the outermost of the application."""

    def __init__(
        self, limits: ConnectionLimits, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self._say = say
        self._clock = clock
        self._open: dict[object, _Connection] = {}
        self._unread: dict[_Connection, None] = {}
        """Those that have more to be sent than their reader takes; first the one that has taken nothing for longest."""
        self._tasks: list[asyncio.Task[None]] = []
        self._said = float("-inf")
        self.refused = 0
        """Connections for which there was no room."""
        self.displaced = 0
        """Connections that made room for others."""

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def serve(self, sockets: list[socket.socket], new_handler: NewHandler) -> None:
        """Accept what comes to these listening sockets, until ``close``; ``new_handler`` speaks HTTP with it."""
        for listening in sockets:
            listening.setblocking(False)
            self._tasks.append(asyncio.create_task(self._accept(listening, new_handler)))
        self._tasks.append(asyncio.create_task(self._watch()))

    async def close(self) -> None:
        """Accept and watch no more. The connections that are open are the server's to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def middleware(self) -> Middleware:
        """Notes on each connection what it is doing."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._open.get(request.protocol)
            if connection is None:
                return await handler(request)
            connection.answering(request)
            try:
                return await handler(request)
            finally:
                connection.answered()

        return note

    def sweep(self) -> None:
        """End what has done nothing for too long."""
        now = self._clock()
        for connection in list(self._unread):
            if connection.has_taken():
                self._unread[connection] = self._unread.pop(connection)
        for connection in list(self._open.values()):
            connection.check(now, self.limits)

    # --- inside -----------------------------------------------------------------------------------

    def opened(self, handler: object, connection: _Connection) -> None:
        """Note a connection that has been made."""
        self._open[handler] = connection

    def lost(self, handler: object) -> None:
        """Forget a connection that has ended."""
        self._open.pop(handler, None)

    def unread(self, connection: _Connection) -> None:
        """Note one whose reader is slow. When much waits to be sent, those end that have taken nothing for longest.

        This one does not: however long its answer is, it may still be read.
        """
        self._unread[connection] = None
        while len(self._unread) > 1 and sum(one.unsent for one in self._unread) > self.limits.unsent:
            text = f"Answers of more than {self.limits.unsent} bytes wait for their readers (max_unsent_bytes)"
            self._tell(f"{text}: the connection that has taken nothing for longest ends.")
            slowest = next(iter(self._unread))
            self.read(slowest)
            slowest.abort()

    def read(self, connection: _Connection) -> None:
        """Note that a reader has caught up, or is gone."""
        self._unread.pop(connection, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep()

    async def _accept(self, listening: socket.socket, new_handler: NewHandler) -> None:
        """One after another, so that their number is known at every moment; the others wait at the port."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                self._tell(f"No connection can be accepted: {error.strerror or error}. It is tried again.")
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
                continue
            try:
                await self._admit(accepted, new_handler)
            except OSError:  # it is gone already
                accepted.close()
            except Exception as error:  # whatever it is, the next one must be let in
                accepted.close()
                self._tell(f"A connection could not be taken: {type(error).__name__}: {error}")

    async def _admit(self, accepted: socket.socket, new_handler: NewHandler) -> None:
        if not await self._make_room():
            _refuse(accepted)
            return
        connection = _Connection(self, new_handler(), self._clock)
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)

    async def _make_room(self) -> bool:
        """Whether there is room for one more, if need be in place of the one that has done nothing for longest."""
        if len(self._open) < self.limits.most:
            return True
        idle = [connection for connection in self._open.values() if connection.makes_room]
        kind = "the one that has done nothing for longest makes room" if idle else "new ones are refused"
        self._tell(f"There are {len(self._open)} connections, as many as there may be: {kind}.")
        if not idle:
            self.refused += 1
            return False
        self.displaced += 1
        await min(idle, key=lambda connection: connection.since).end()
        return True

    def _tell(self, text: str) -> None:
        if self._clock() - self._said > _SAY_AGAIN_SECONDS:
            self._said = self._clock()
            self._say(text)


class _Connection(asyncio.Protocol):
    """One connection: hands everything on to aiohttp's handler, and knows what it is doing since when."""

    def __init__(self, connections: Connections, handler: web.RequestHandler, clock: Callable[[], float]) -> None:
        self._connections = connections
        self._handler = handler
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._request: web.Request | None = None
        self._unsent = self._untaken = 0
        self._ended = asyncio.get_running_loop().create_future()
        self.doing = _Doing.HEADER
        self.since = self._moved = clock()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.opened(self._handler, self)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._moved = self._clock()
        if self.doing is _Doing.NOTHING:
            self.doing, self.since = _Doing.HEADER, self._moved
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()
        self._connections.unread(self)

    def resume_writing(self) -> None:
        self._connections.read(self)
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.read(self)
        self._connections.lost(self._handler)
        if not self._ended.done():
            self._ended.set_result(None)
        self._handler.connection_lost(exc)

    @property
    def makes_room(self) -> bool:
        """Whether it may be ended for the sake of a new one."""
        return self._request is None or self._request.get(STRANGER, False)

    def answering(self, request: web.Request) -> None:
        """A whole request header is there."""
        self.doing, self._request = _Doing.ANSWERING, request

    def answered(self) -> None:
        """The answer is made; it may not have left yet."""
        self.doing, self._request, self.since = _Doing.NOTHING, None, self._clock()

    def check(self, now: float, limits: ConnectionLimits) -> None:
        """End it, or the body that it is sending, when its time is over."""
        if self._request is not None:
            if not self._request.content.is_eof() and now - self._moved > limits.body:
                text = f"Nothing more of the body has come for {limits.body:g} s."
                self._request.content.set_exception(BodyStalledError(text, 408))
            return
        unsent = self.unsent
        if unsent != self._unsent:  # a slow reader, but a reader
            self._unsent, self.since = unsent, now
        if now - self.since > (limits.idle if self.doing is _Doing.NOTHING else limits.header):
            self.abort()

    @property
    def unsent(self) -> int:
        """How many bytes of answers wait for the reader."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def has_taken(self) -> bool:
        """Whether the reader has taken something since this was asked last."""
        before, self._untaken = self._untaken, self.unsent
        return self._untaken < before

    async def end(self) -> None:
        """End it, and return when its descriptor is free."""
        self.abort()
        await self._ended

    def abort(self) -> None:
        """End it at once; what is unsent is dropped."""
        if self._transport is not None:
            self._transport.abort()


def _refuse(accepted: socket.socket) -> None:
    """Say why, without waiting for anything."""
    with accepted, contextlib.suppress(OSError):
        accepted.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            accepted.recv(65536)  # what is unread when a connection is closed takes the answer with it
        accepted.send(_FULL % (len(_FULL_BODY), _FULL_BODY))
        accepted.shutdown(socket.SHUT_WR)
