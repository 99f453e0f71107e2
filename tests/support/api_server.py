"""The API over a real dispatcher and broker in this process, with a worker that the test plays itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from server.api.codeproject.command_polls import CommandPolls
from server.api.codeproject.logs import LogRoutes
from server.api.codeproject.module_routes import ModuleRoutes
from server.api.codeproject.server_status import ServerStatus
from server.api.native.commands import CommandRoutes
from server.api.native.login import LoginRoutes
from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.broker import Claim
from server.commands.command import Payload
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.routing import Route, RouteTable
from server.commands.workers import Room, Worker, WorkerRegistry
from server.config import ServerSettings
from server.http.application import add_module_routes, new_application
from server.http.body_limits import body_limits
from server.http.guard import GUARD
from server.http.request_body import BodyReader
from server.http.request_log import RequestLog
from server.http.sse import EventStreams
from server.links.by_hand import ByHand
from server.links.module_identity import ModuleIdentity
from server.links.queue_protocol import QueueProtocol
from server.log_book import LogBook
from server.loop_lag import LoopLag

Client = TestClient[Request, Application]
Answer = Callable[[Payload], dict[str, Any]]


class ApiServer:
    """The parts that a test drives."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = ServerSettings(data_dir=folder, **settings)
        self.blobs = BlobFolder(folder / "spool", self.settings.max_uploads_bytes)
        self.broker = LocalBroker(folder / "records", self.blobs)
        limits = DispatchSettings(
            queue_length=self.settings.queue_length, cancel_deadline=self.settings.cancel_deadline
        )
        self.dispatcher = Dispatcher(self.broker, limits)
        self.workers = WorkerRegistry()
        self.log = LogBook(self.settings.api_keys)
        self.routes = RouteTable()
        self.worker = Worker(worker_id="w", module_id="Demo", queue="demo_queue", parallelism=4)
        self.workers.add(self.worker)
        quick = route("demo/quick", "quick")
        custom = route("demo/custom", "quick", segments=True)
        self.routes.set_module("Demo", [quick, custom, route("demo/long", "long", long_running=True)])
        bodies = BodyReader(self.blobs, body_limits(self.settings))
        polls = CommandPolls(self.dispatcher, self.routes)
        streams = EventStreams(self.dispatcher)
        modules = ModuleRoutes(self.dispatcher, self.routes, polls, streams, bodies, self.settings)
        queues = {"demo": "demo_queue", "other": "other_queue"}
        self.by_hand = ByHand(
            self.dispatcher,
            self.workers,
            lambda name: queues.get(name.lower()),
            folder,
            self.settings.external_modules,
        )
        self.identity = ModuleIdentity(self.workers, self.log, self.by_hand)
        self.queue_protocol = QueueProtocol(self.dispatcher, self.workers, self.identity, bodies, self.blobs)
        self.app = new_application(self.settings, self.log)
        self.app[GUARD].process_owner = self.identity.owner_of_call
        self.requests = RequestLog(self.settings.access_log)
        self.requests.add_to(self.app)
        self.queue_protocol.add_to(self.app)
        CommandRoutes(self.dispatcher, streams).add_to(self.app)
        ServerStatus(self.settings.compatible_version, self.dispatcher, LoopLag()).add_to(self.app)
        LogRoutes(self.log, bodies, self.settings.max_log_bytes).add_to(self.app)
        LoginRoutes(self.app[GUARD]).add_to(self.app)
        add_module_routes(self.app, modules.handle)

    async def claim(self, quick: int = 1, long: int = 1) -> Claim:
        """Take the next command, as the module would."""
        self.worker.room = Room(quick, long)
        claim = await self.dispatcher.claim(self.worker, 30)
        assert claim is not None
        return claim

    async def finish(self, claim: Claim, **output: Any) -> None:
        """Answer a command, as the module would."""
        body = {"success": True, **output}
        raw = msgspec.Raw(msgspec.json.encode(body))
        await self.dispatcher.finish(self.worker, claim.command.command_id, bool(body["success"]), raw)

    async def started_long(self, claim: Claim, device: str = "CPU") -> None:
        """Say that a command's long process runs, as the module would."""
        await self.dispatcher.started_long(self.worker, claim.command.command_id, device)

    @contextlib.asynccontextmanager
    async def answering(self, answer: Answer) -> AsyncIterator[None]:
        """Answer every quick command with what the function makes of its payload."""

        async def loop() -> None:
            while True:
                claim = await self.claim(1, 0)
                await self.finish(claim, **answer(claim.payload))

        task = asyncio.create_task(loop())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def route(path: str, command: str, long_running: bool = False, segments: bool = False) -> Route:
    """Return a route of the demo module."""
    return Route(
        path=path,
        module_id="Demo",
        module_name="The demo",
        queue="demo_queue",
        command=command,
        long_running=long_running,
        segments=segments,
    )


@contextlib.asynccontextmanager
async def running_api(folder: Path, **settings: Any) -> AsyncIterator[tuple[ApiServer, Client]]:
    """Serve the API; yield it with a client."""
    api = ApiServer(folder, **settings)
    await api.broker.open()
    try:
        server = TestServer(api.app)
        await server.start_server(auto_decompress=False)
        async with TestClient(server, raise_for_status=False) as client:
            yield api, client
    finally:
        await api.queue_protocol.close()
        await api.by_hand.close()
        await api.dispatcher.close()
        await api.broker.close()
