"""``POST /v1/{route}``: one request to a module becomes one command; its answer is the command's.

A quick command's answer is the module's own JSON object. A long one is answered at once with its ``commandId``, to be
polled, followed or cancelled. A plain caller that goes away before its quick answer cancels the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from aiohttp import web

from ...commands.command import Command, CommandState, Reason
from ...commands.dispatcher import Dispatcher
from ...commands.errors import CommandError, QueueFullError
from ...commands.routing import Route, RouteMatch, RouteTable, path_key
from ...config import ServerSettings
from ...http.envelope import error, json_answer, module_answer, proxy_fields
from ...http.guard import check_commands, most_bytes, owner_by_form
from ...http.request_body import BodyReader, Received
from ...http.request_id import request_id_of
from ...http.sse import EventStreams, wants_stream
from .command_polls import CANCEL, GET_STATUS, CommandPolls

LONG_ANSWER_SECONDS = 1.0
"""How long a route that is known to start long commands may take to refuse its input at once."""

_STATUS_OF_END = {Reason.TIMEOUT.value: 504, Reason.MODULE_ERROR.value: 502, Reason.POISON.value: 502}
"""What strict answers say of a command that ended without the module's answer; all else is 503."""


class ModuleRoutes:
    """Everything under ``/v1/`` that a module serves."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        routes: RouteTable,
        polls: CommandPolls,
        streams: EventStreams,
        bodies: BodyReader,
        settings: ServerSettings,
    ) -> None:
        self._dispatcher = dispatcher
        self._streams = streams
        self._routes = routes
        self._polls = polls
        self._bodies = bodies
        self._timeout = settings.response_timeout
        self._strict = settings.strict_status

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to a path that no part of the server itself serves."""
        received = time.monotonic()
        path = request.match_info["module_route"]
        polled = self._poll_of(path)
        match = None if polled else self._routes.match(path)
        if polled is None and match is None:
            return error(self._no_route(path), status=404, code=404)
        if request.method != "POST" and not (match and match.route.path.lower().endswith("/list")):
            # A GET can be provoked by any web page; only lists, which clients do ask for so, are worth that.
            return error(f"Use POST for '/v1/{path}'.", status=405, code=405)
        async with self._bodies.read(request, match.segments if match else [], most_bytes(request)) as body:
            owner = owner_by_form(request, body.payload)
            if polled is not None:
                return await self._polls.answer(request, polled[1], polled[0], body.payload)
            assert match is not None
            await check_commands(request, owner, self._dispatcher)
            try:
                command = await self._submit(match.route, owner, body, request_id_of(request))
            except CommandError as refused:
                return self._refusal(request, refused, match.route, received)
        if wants_stream(request):
            return await self._streams.send(request, command.command_id, after=0, owns=True)
        return await self._wait(command, match, received)

    async def _submit(self, route: Route, owner: str, body: Received, request_id: str) -> Command:
        """Hand the body over to a command. Whether it was accepted is known also when the client leaves meanwhile."""
        submitting = asyncio.ensure_future(self._dispatcher.submit(route, owner, body.payload, request_id))
        try:
            command = await asyncio.shield(submitting)
        except asyncio.CancelledError:
            with contextlib.suppress(CommandError):
                accepted = await submitting
                body.keep()
                await self._dispatcher.abandon(accepted.command_id)
            raise
        body.keep()
        return command

    def _no_route(self, path: str) -> str:
        """Say that there is no such route, and which one may have been meant."""
        text, near = f"There is no route '/v1/{path}'.", self._routes.nearest(path)
        if near is None:
            return f"{text} GET /v1/module/list/running shows the routes of each module."
        text += f" The nearest is '/v1/{near.path}' of the module {near.module_id}"
        if path.lower().startswith(f"{path_key(near.path)}/"):
            text += ', which takes nothing after it ("Segments": true on the route in its settings would allow it)'
        return f"{text}."

    def _refusal(
        self, request: web.Request, refused: CommandError, route: Route, received: float
    ) -> web.StreamResponse:
        """Old clients read the body and expect 200; one that asked for a stream understands HTTP."""
        full = isinstance(refused, QueueFullError)
        answer = error(str(refused), code=429 if full else 503, moduleId=route.module_id, **proxy_fields(received))
        if self._strict or wants_stream(request):
            answer.set_status(429 if full else 503)
            answer.headers["Retry-After"] = str(refused.retry_after if isinstance(refused, QueueFullError) else 10)
        return answer

    def _poll_of(self, path: str) -> tuple[str, str] | None:
        """Return (module id, action) when the path is one of the two system routes of a known module."""
        name, _, action = path.rpartition("/")
        if action.lower() not in (GET_STATUS, CANCEL):
            return None
        module_id = self._routes.module_named(name)
        return None if module_id is None else (module_id, action.lower())

    async def _wait(self, command: Command, match: RouteMatch, received: float) -> web.StreamResponse:
        try:
            if command.long:
                command = await self._dispatcher.begun(command.command_id, LONG_ANSWER_SECONDS)
            else:
                command = await self._dispatcher.answer(command.command_id, self._timeout)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.ensure_future(self._dispatcher.abandon(command.command_id)))
            raise
        if not command.ended:
            return json_answer({**self._started(command, match.route), **proxy_fields(received)})
        await self._dispatcher.release(command.command_id)
        return self._ended(command, match.route, received)

    def _started(self, command: Command, route: Route) -> dict[str, object]:
        waiting = command.state is CommandState.QUEUED
        message = "Command is waiting in its queue" if waiting else "Command is running in the background"
        return {
            "success": True,
            "message": message,
            "commandId": command.command_id,
            "commandStatus": "running",
            "state": command.state.value,
            "moduleId": route.module_id,
            "moduleName": route.module_name,
            "code": 200,
            "command": command.name,
            "requestId": command.command_id,
            "inferenceDevice": command.inference_device,
        }

    def _ended(self, command: Command, route: Route, received: float) -> web.Response:
        if command.result is not None:
            return module_answer(bytes(command.result), received)
        status = _STATUS_OF_END.get(command.reason or "", 503) if self._strict else 200
        return error(
            command.error or f"The command ended as {command.state.value}.",
            status=status,
            code=status if self._strict else 500,
            commandId=command.command_id,
            moduleId=route.module_id,
            reason=command.reason,
            state=command.state.value,
            **proxy_fields(received),
        )
