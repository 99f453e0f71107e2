"""The native view of commands: ``/v1/commands``, one record, its events, and cancel."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...commands.command import ENDED, LIVE, Command, CommandState
from ...commands.dispatcher import Dispatcher
from ...commands.errors import UnknownCommandError
from ...commands.reply_buffer import Reply
from ...http.audience import Audience, declare
from ...http.bad_request import BadRequestError, seconds, shortened, whole_number
from ...http.envelope import error, json_answer
from ...http.event_pieces import event_data
from ...http.guard import owner_of
from ...http.sse import EventStreams, wants_stream

MAX_WAIT_SECONDS = 60.0
MAX_PAGE = 100
_GROUPS = {"live": LIVE, "ended": ENDED}


class CommandRoutes:
    """The routes under ``/v1/commands``."""

    def __init__(self, dispatcher: Dispatcher, streams: EventStreams) -> None:
        self._dispatcher = dispatcher
        self._streams = streams

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        declare(app, "GET", "/v1/commands", self._listing, Audience.OWNER)
        declare(app, "GET", "/v1/commands/{command_id}", self._record, Audience.OWNER)
        declare(app, "GET", "/v1/commands/{command_id}/events", self._events, Audience.OWNER)
        declare(app, "POST", "/v1/commands/{command_id}/cancel", self._cancel, Audience.OWNER)

    async def _listing(self, request: web.Request) -> web.Response:
        """Own commands, newest first; ``offset`` and ``limit`` page through them, ``state`` chooses among them."""
        offset, limit = _whole(request, "offset", 0), _whole(request, "limit", 50)
        states = _states(request)
        commands = [one for one in await self._dispatcher.owned(owner_of(request)) if one.state in states]
        page = commands[offset : offset + min(limit, MAX_PAGE)]
        view = self._summary if request.query.get("brief", "").lower() in ("1", "true") else self._view
        return json_answer({"total": len(commands), "commands": [await view(command) for command in page]})

    async def _record(self, request: web.Request) -> web.Response:
        try:
            command = await self._find(request)
        except UnknownCommandError as unknown:
            return error(str(unknown), status=404, code=404)
        return json_answer(await self._view(command))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = _whole(request, "after", _last_event_id(request))
        wait = min(seconds(request.query.get("wait", "0"), "wait"), MAX_WAIT_SECONDS)
        try:
            command = await self._find(request)
            if wants_stream(request):
                return await self._streams.send(request, command.command_id, after)
            page = await self._dispatcher.read(command.command_id, after, wait)
            command = await self._find(request)
        except UnknownCommandError as unknown:
            return error(str(unknown), status=404, code=404)
        events = [
            {"seq": event.seq, "event": event.kind.value, "data": event_data(event, command)} for event in page.events
        ]
        return json_answer({"events": events, "ended": page.ended, "gone": page.gone})

    async def _cancel(self, request: web.Request) -> web.Response:
        try:
            command = await self._find(request)
            command = await self._dispatcher.cancel(command.command_id, owner_of(request))
        except UnknownCommandError as unknown:
            return error(str(unknown), status=404, code=404)
        return json_answer(await self._view(command))

    async def _find(self, request: web.Request) -> Command:
        return await self._dispatcher.find(request.match_info["command_id"], owner_of(request))

    async def _view(self, command: Command) -> dict[str, Any]:
        reply = await self._reply(command)
        more = {"text": reply.text, "fields": reply.fields, "last_seq": reply.last_seq, "result": command.result}
        return {**await self._summary(command), **more}

    async def _summary(self, command: Command) -> dict[str, Any]:
        """A record without what may be large: its text and its result."""
        shown = self._dispatcher.clock.time_of_day
        return {
            "id": command.command_id,
            "module": command.module_id,
            "route": command.route,
            "command": command.name,
            "request_id": command.request_id,
            "state": command.state,
            "reason": command.reason,
            "error": command.error,
            "long": command.long,
            "position": await self._dispatcher.position(command.command_id),
            "created_at": shown(command.created_at),
            "started_at": shown(command.started_at),
            "ended_at": shown(command.ended_at),
            "text_length": (await self._reply(command, text=False)).text_length,
        }

    async def _reply(self, command: Command, text: bool = True) -> Reply:
        """Text and fields so far; nothing of a command that was forgotten while others were looked at."""
        try:
            return await self._dispatcher.reply(command.command_id, text)
        except UnknownCommandError:
            return Reply(None, {}, 0, 0)


def _states(request: web.Request) -> frozenset[CommandState]:
    """The states that ``state`` names, separated by commas (``live`` and ``ended`` are several); without it, all."""
    names = [name for name in request.query.get("state", "").lower().split(",") if name]
    try:
        return frozenset().union(*(_GROUPS.get(name) or {CommandState(name)} for name in names or _GROUPS))
    except ValueError:
        words = ", ".join([*_GROUPS, *(state.value for state in CommandState)])
        raise BadRequestError(f"'state' must be of {words}, not '{shortened(request.query['state'])}'.") from None


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    return default if text is None else whole_number(text, name)


def _last_event_id(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID", "")
    return whole_number(text, "Last-Event-ID") if text else 0
