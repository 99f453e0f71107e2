"""The queue protocol: the HTTP long poll that modules with the published SDK speak.

They ask ``GET /v1/queue/{queue}`` for a request and post the answer to ``/v1/queue/{reqid}``. Only a process that has
proved which module's it is may (``module_identity.py``); the others leave nothing behind.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from ..commands.blobs import Blobs
from ..commands.broker import Claim
from ..commands.command import Command
from ..commands.control import CANCEL, PROBE, QUIT
from ..commands.dispatcher import Dispatcher
from ..commands.workers import Worker, WorkerRegistry
from ..http.audience import Audience, declare
from ..http.bad_request import BadRequestError
from ..http.envelope import error
from ..http.request_body import BodyReader
from .module_identity import ModuleIdentity
from .queue_followers import QueueLongCommands
from .wire_payload import WirePayload, wire_payload

HOLD_SECONDS = 11.0
"""An idle poll is held this long, then answered 204: safely below the 15 s after which the SDK gives up."""


class QueueProtocol:
    """The routes under ``/v1/queue``."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        workers: WorkerRegistry,
        identity: ModuleIdentity,
        bodies: BodyReader,
        blobs: Blobs,
    ) -> None:
        self._bodies = bodies
        self._blobs = blobs
        self._dispatcher = dispatcher
        self._workers = workers
        self._identity = identity
        self._long = QueueLongCommands(dispatcher)

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        declare(app, "GET", "/v1/queue/{queue}", self._take_request, Audience.MODULE, effects=True)
        declare(app, "POST", "/v1/queue/updatemodulestatus/{module_id}", self._status, Audience.MODULE)
        declare(app, "POST", "/v1/queue/{command_id}", self._answer, Audience.MODULE)

    async def close(self) -> None:
        """Stop following long commands."""
        await self._long.close()

    async def _take_request(self, request: web.Request) -> web.StreamResponse:
        module_id = request.query.get("moduleId", "")
        if not module_id:
            return error("Whoever polls must send moduleId.", status=400, code=400)
        worker = await self._identity.poller(request, module_id, request.match_info["queue"])
        if worker.kind != "queue":
            worker.kind, worker.connected = "queue", True
            self._dispatcher.set_room(worker, worker.parallelism, 1)
            await self._long.go_on(worker)
        await self._workers.note_contact(worker)
        claim = await self._dispatcher.claim(worker, HOLD_SECONDS)
        if claim is None:
            return web.Response(status=204)
        if request.transport is None or request.transport.is_closing():
            await self._dispatcher.put_back(worker, claim.command.command_id)
            return web.Response(status=204)
        return await self._hand_over(request, worker, claim)

    async def _hand_over(self, request: web.Request, worker: Worker, claim: Claim) -> web.StreamResponse:
        command = claim.command
        if command.control and command.name == QUIT:
            output = msgspec.Raw(b'{"success":true}')
            await self._dispatcher.finish(worker, command.command_id, True, output)
        try:
            wire = await wire_payload(command, claim.payload, self._blobs)
        except Exception as error:  # it alone fails: another poll would end in the same way
            text = f"The command cannot be sent to the module: {error}"
            await self._dispatcher.refuse(worker, command.command_id, text)
            return web.Response(status=204)
        return await self._sent(request, worker, command, wire)

    async def _sent(
        self, request: web.Request, worker: Worker, command: Command, wire: WirePayload
    ) -> web.StreamResponse:
        """Send a request to its module; when the module has gone away meanwhile, it is queued again."""
        try:
            return await wire.send(request)
        except BaseException:
            returned = self._dispatcher.put_back(worker, command.command_id, counted=True)
            await asyncio.shield(asyncio.ensure_future(returned))
            raise

    async def _answer(self, request: web.Request) -> web.Response:
        command_id = request.match_info["command_id"]
        worker = self._workers.get(await self._dispatcher.worker_of(command_id) or "")
        if worker is None and self._identity.launched(request) is None:
            return web.Response(status=400, text="failure to set response.")
        if worker is not None and not await self._identity.speaks_for(request, worker):
            raise BadRequestError("Only the process that was given a command may answer it.", 403)
        body = await self._body(request, worker, command_id)
        output = _json_object(body)
        if output is None:
            return web.Response(status=500)
        if worker is None:
            return web.Response(status=400, text="failure to set response.")
        await self._workers.note_contact(worker)
        accepted = await self._take_answer(worker, command_id, output, body)
        if not accepted:
            return web.Response(status=400, text="failure to set response.")
        return web.Response(text="Response saved.")

    async def _body(self, request: web.Request, worker: Worker | None, command_id: str) -> bytes:
        """Read an answer. With one that is too long, its command alone fails; whoever waits for it is told why."""
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge as large:
            if worker is not None:
                await self._dispatcher.refuse(worker, command_id, f"The module's answer is too long: {large.text}")
            raise

    async def _take_answer(self, worker: Worker, command_id: str, output: dict[str, Any], body: bytes) -> bool:
        control = any(output.get("command") == name for name in (PROBE, CANCEL))
        if isinstance(output.get("statusData"), dict):
            worker.show_status(msgspec.json.encode(output["statusData"]))
        if not control and output.get("commandStatus") == "running" and output.get("commandId") == command_id:
            await self._long.follow(worker, command_id, str(output.get("inferenceDevice", "CPU")))
            return True
        if not control and await self._long.refused_as_busy(worker, command_id, output):
            return True
        return await self._dispatcher.finish(worker, command_id, bool(output.get("success")), msgspec.Raw(body))

    async def _status(self, request: web.Request) -> web.Response:
        worker = await self._identity.status_of(request, request.match_info["module_id"])
        if worker is None:
            return web.Response(status=404, text="Module status data not updated")
        async with self._bodies.read(request) as received:
            sent = [item.value[0] for item in received.payload.values if item.key == "statusData" and item.value]
        text = sent[0] if sent else ""
        if _json_object(text.encode()) is None:
            return web.Response(status=404, text="Module status data not updated")
        worker.show_status(text.encode())
        await self._workers.note_contact(worker)
        return web.Response(text="Module status updated")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: it is nested too deeply
        return None
    return value if isinstance(value, dict) else None
