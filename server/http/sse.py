"""Server-sent events: a command's reply buffer as a stream that can be left and rejoined."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from ..commands.command import Command
from ..commands.dispatcher import Dispatcher
from ..commands.reply_buffer import Event, EventKind

KEEP_ALIVE_SECONDS = 10.0
QUEUED_SECONDS = 1.0
"""While a command waits in its queue, its position is sent this often."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
_FINAL = {EventKind.RESULT, EventKind.ERROR, EventKind.CANCELLED}
_encode = msgspec.json.Encoder().encode


def wants_stream(request: web.Request) -> bool:
    """Whether the client asked for a stream of events."""
    return "text/event-stream" in request.headers.get("Accept", "")


async def stream_events(
    request: web.Request, dispatcher: Dispatcher, command_id: str, after: int, owns: bool = False
) -> web.StreamResponse:
    """Send the command's events after a number until its end. Comments keep the connection alive meanwhile.

    ``owns``: this request submitted the command; a quick one ends when its client goes away.
    """
    response = web.StreamResponse(headers={**_HEADERS, "X-Command-Id": command_id})
    await response.prepare(request)
    try:
        await _send_all(response, dispatcher, command_id, after)
        await response.write_eof()
    finally:
        if owns:
            await asyncio.shield(asyncio.ensure_future(dispatcher.abandon(command_id)))
    return response


async def _send_all(response: web.StreamResponse, dispatcher: Dispatcher, command_id: str, after: int) -> None:
    position = None
    while True:
        wait = KEEP_ALIVE_SECONDS if position is None else QUEUED_SECONDS
        page = await dispatcher.read(command_id, after, wait)
        if page.gone:
            await response.write(b": earlier events are no longer kept\n\n")
        if page.events:
            command = await dispatcher.record(command_id) if page.ended else None
            await response.write(b"".join(event_bytes(event, command) for event in page.events))
            after = page.events[-1].seq
        if page.ended and (not page.events or page.events[-1].kind in _FINAL):
            return
        position = await dispatcher.position(command_id)
        if position is not None:
            await response.write(b": position %d\n\n" % position)
        elif not page.events:
            await response.write(b": waiting\n\n")


def event_bytes(event: Event, command: Command | None) -> bytes:
    """Return one event in wire form; the closing one carries the module's final object as ``result``."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq,
        event.kind.value.encode(),
        _encode(event_data(event, command)),
    )


def event_data(event: Event, command: Command | None) -> object:
    """Return the JSON value of an event."""
    if event.kind is EventKind.DELTA:
        return {"text": event.data}
    if event.kind in _FINAL and command is not None:
        return {**event.data, "result": command.result}
    return event.data
