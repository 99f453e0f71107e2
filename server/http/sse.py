"""Server-sent events: a command's reply buffer as a stream that can be left and rejoined."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from ..commands.dispatcher import Dispatcher
from ..commands.errors import UnknownCommandError
from ..commands.reply_buffer import EventPage
from .event_pieces import FINAL, PIECE_BYTES, EventPieces, Piece

KEEP_ALIVE_SECONDS = 10.0
QUEUED_SECONDS = 1.0
"""While a command waits in its queue, its position is sent this often."""
PAGE_EVENTS = 256
"""Events that are looked at together at most."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class _GoneError(Exception):
    """The rest of an event of which the follower has had a part is no longer kept."""


class _Step(msgspec.Struct, frozen=True):
    """What is sent next. ``data`` is the beginning of it, if ``size`` is more. ``last``: nothing comes after it."""

    data: bytes
    size: int
    seq: int
    gone: bool
    more: bool
    last: bool


def wants_stream(request: web.Request) -> bool:
    """Whether the client asked for a stream of events."""
    return "text/event-stream" in request.headers.get("Accept", "")


class EventStreams:
    """The streams of all who follow commands.

    Who does not read costs little more than a piece: the place in the reply buffer is all that is kept of a stream
    while it waits. If that place is no longer there when it is read on, the stream says so; within an event, which
    cannot be ended then, it breaks off, and says so when it is rejoined.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._pieces = EventPieces()

    async def send(self, request: web.Request, command_id: str, after: int, owns: bool = False) -> web.StreamResponse:
        """Send the command's events after a number until its end. Comments keep the connection alive meanwhile.

        ``owns``: this request submitted the command; a quick one ends when its client goes away.
        """
        response = web.StreamResponse(headers={**_HEADERS, "X-Command-Id": command_id})
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=PIECE_BYTES)
        try:
            await self._send_all(_Outlet(request, response), command_id, after)
            await response.write_eof()
        except (_GoneError, UnknownCommandError):
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client went away
        finally:
            if owns:
                await asyncio.shield(asyncio.ensure_future(self._dispatcher.abandon(command_id)))
        return response

    async def _send_all(self, outlet: _Outlet, command_id: str, after: int) -> None:
        position = None
        while True:
            step = await self._step(command_id, after, KEEP_ALIVE_SECONDS if position is None else QUEUED_SECONDS)
            if step.gone:
                await outlet.send(b": earlier events are no longer kept\n\n")
            if step.data:
                await outlet.send(step.data)
                await self._send_rest(outlet, command_id, step)
                after = step.seq
            if step.last:
                return
            if step.more:
                await asyncio.sleep(0)  # others are served between two pieces
                continue
            position = await self._dispatcher.position(command_id)
            if position is not None:
                await outlet.send(b": position %d\n\n" % position)
            elif not step.data:
                await outlet.send(b": waiting\n\n")

    async def _step(self, command_id: str, after: int, wait: float) -> _Step:
        page = await self._dispatcher.read(command_id, after, wait, PAGE_EVENTS)
        if not page.events:
            return _Step(b"", 0, after, page.gone, False, page.ended)
        piece = await self._piece(command_id, page)
        newest = page.events[-1]
        more = page.more or piece.last_seq < newest.seq
        last = page.ended and not more and newest.kind in FINAL
        return _Step(piece.data[:PIECE_BYTES], len(piece.data), piece.last_seq, page.gone, more, last)

    async def _send_rest(self, outlet: _Outlet, command_id: str, step: _Step) -> None:
        """Send what follows the first part of a long event; it is looked up for each part, and not held."""
        sent = len(step.data)
        while sent < step.size:
            page = await self._dispatcher.read(command_id, step.seq - 1, 0, 1)
            if page.gone or not page.events:
                raise _GoneError
            part = (await self._piece(command_id, page)).data[sent : sent + PIECE_BYTES]
            del page
            sent += len(part)
            await outlet.send(part)

    async def _piece(self, command_id: str, page: EventPage) -> Piece:
        command = await self._dispatcher.record(command_id) if page.ended else None
        return self._pieces.piece(command_id, page.events, command)


class _Outlet:
    """Where a stream goes: takes the next part when the last one has left."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._writer = request.writer
        self._response = response

    async def send(self, data: bytes) -> None:
        await self._response.write(data)
        await self._writer.drain()
