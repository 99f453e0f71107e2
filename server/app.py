"""The composition root: builds the parts of a server and connects them. No behaviour of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import web

from .api.codeproject.command_polls import CommandPolls
from .api.codeproject.logs import LogRoutes
from .api.codeproject.module_list import add_routes as add_module_list
from .api.codeproject.module_routes import ModuleRoutes
from .api.codeproject.server_status import ServerStatus
from .api.module_page import ModulePages
from .api.native.commands import CommandRoutes
from .api.native.login import LoginRoutes
from .api.native.metrics import Metrics
from .api.native.module_settings import ModuleSettingsRoutes
from .api.native.openapi import OpenApi
from .api.pages import add_pages
from .brokers.local.blob_folder import BlobFolder
from .brokers.local.broker import LocalBroker
from .commands.clock import Clock
from .commands.dispatcher import Dispatcher, DispatchSettings
from .commands.retention import Retention, RetentionSettings
from .commands.routing import RouteTable
from .commands.watchdog import Watchdog
from .commands.workers import WorkerRegistry
from .config import ROOT, ServerSettings
from .data_folder import DataFolder
from .descriptors import room_for_connections
from .hosting.host import ModuleHost
from .http.application import add_module_routes, new_application, own_paths
from .http.audience import Audience, declare
from .http.body_limits import body_limits
from .http.connections import ConnectionLimits, Connections
from .http.guard import GUARD
from .http.request_body import BodyReader
from .http.request_log import RequestLog
from .http.sse import EventStreams
from .http.unreadable import HandlerMaker
from .links.by_hand import ByHand
from .links.channel import Channel, ChannelLimits
from .links.module_identity import ModuleIdentity
from .links.queue_protocol import QueueProtocol
from .log_book import LogBook
from .loop_lag import LoopLag
from .private_files import make_private


class App:
    """All the parts of one running server."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.log = LogBook(settings.api_keys)
        self.routes = RouteTable()
        self.workers = WorkerRegistry()
        blobs = BlobFolder(settings.data_dir / "uploads", settings.max_uploads_bytes)
        clock = Clock()
        self.broker = LocalBroker(
            settings.data_dir / "records",
            blobs,
            settings.reply_bytes,
            clock,
            reply_text_memory=settings.reply_text_memory,
            waiting_bytes=settings.max_waiting_bytes,
        )
        limits = DispatchSettings(queue_length=settings.queue_length, cancel_deadline=settings.cancel_deadline)
        self.dispatcher = Dispatcher(self.broker, limits, clock)
        self.host = ModuleHost(settings, self.dispatcher, self.workers, self.routes, self.log)
        queue_of, external = self.host.queue_of, settings.external_modules
        self.by_hand = ByHand(self.dispatcher, self.workers, queue_of, settings.data_dir, external)
        self.dispatcher.on_overdue = self._kill_worker
        kept = RetentionSettings(
            reply=settings.reply_retention, result=settings.result_retention, waiting=settings.queue_timeout
        )
        self.retention = Retention(self.broker, kept, clock)
        self.watchdog = Watchdog(self.dispatcher, self.workers, lambda text: self.log.add(text, "warning"))
        self.identity = ModuleIdentity(self.workers, self.log, self.by_hand)
        bodies = BodyReader(blobs, body_limits(settings))
        self.queue_protocol = QueueProtocol(self.dispatcher, self.workers, self.identity, bodies, blobs)
        self.connections = Connections(_connection_limits(settings), lambda text: self.log.add(text, "warning"))
        self.requests = RequestLog(settings.access_log)
        self.lag = LoopLag()
        self.web = self._web(bodies)
        self._listening: list[socket.socket] = []
        self._runner = web.AppRunner(self.web, handler_cancellation=True, shutdown_timeout=1.0)

    def _web(self, bodies: BodyReader) -> web.Application:
        polls = CommandPolls(self.dispatcher, self.routes)
        streams = EventStreams(self.dispatcher)
        module_routes = ModuleRoutes(self.dispatcher, self.routes, polls, streams, bodies, self.settings)
        app = new_application(self.settings, self.log)
        app[GUARD].process_owner = self.identity.owner_of_call
        self.requests.add_to(app)
        app.middlewares.insert(0, self.connections.middleware)
        channel = Channel(self.dispatcher, self.workers, self.log, self.by_hand, _channel_limits(self.settings))
        declare(app, "GET", "/v1/channel", channel.handle, Audience.MODULE, effects=True)
        self.queue_protocol.add_to(app)
        CommandRoutes(self.dispatcher, streams).add_to(app)
        ServerStatus(self.settings.compatible_version, self.dispatcher, self.lag).add_to(app)
        self._metrics().add_to(app)
        OpenApi(self.routes).add_to(app)
        LogRoutes(self.log, bodies, self.settings.max_log_bytes).add_to(app)
        LoginRoutes(app[GUARD]).add_to(app)
        add_module_list(app, self.host)
        ModuleSettingsRoutes(self.host, self.settings, bodies).add_to(app)
        add_pages(app, ROOT / "explorer")
        ModulePages(ROOT / "explorer" / "module-page.html", self.host.config_of).add_to(app)
        add_module_routes(app, module_routes.handle)
        self.routes.reserved = own_paths(app)
        return app

    def _metrics(self) -> Metrics:
        return Metrics(self.dispatcher, self.host, self.connections, self.requests, self.lag)

    async def start(self) -> int:
        """Start everything; return the port. Raises ``OSError`` when the port is taken."""
        sockets = self._listening = _bind(self.settings)
        if self.connections.limits.most < self.settings.max_connections:
            self.log.add(
                f"Only {self.connections.limits.most} connections at a time: the system lets this process open no more "
                "files (ulimit -n).",
                "warning",
            )
        port = int(sockets[0].getsockname()[1])
        try:
            await self._runner.setup()
            await self.broker.open()
            for text in self.broker.damaged:
                self.log.add(text, "error")
            # Modules that outlived the last server knock at once: they must be known before anybody is let in.
            for command in await self.dispatcher.recover(await self.host.find_orphans()):
                self.log.add(f"Command {command.command_id} was running when the last server died", "warning")
            self.retention.start()
            self.watchdog.start()
            self.lag.start()
            # Their routes too; who knocks meanwhile waits at the bound port, instead of being told 404.
            await self.host.set_port(port)
            await self.host.start()
            assert self._runner.server is not None
            self.connections.serve(sockets, self._handlers(self._runner.server))
            await self.dispatcher.fail_unserved(route.queue for route in self.routes.all())
        except BaseException:
            await self._close_connections()
            raise
        return port

    def _handlers(self, server: web.Server) -> HandlerMaker:
        return HandlerMaker(
            server,
            lambda text: self.log.add(text, "warning"),
            access_log=None,
            keepalive_timeout=self.settings.idle_timeout,
            max_line_size=self.settings.max_header_bytes,
            max_field_size=self.settings.max_header_bytes,
            max_headers=self.settings.max_headers,
            auto_decompress=False,  # bodies are unpacked where they are read: bounded, and checked to their end
        )

    async def stop(self) -> None:
        """Take no new commands, let the running ones end for a while, then stop everything."""
        await self.dispatcher.drain(self.workers.all(), self.settings.drain)
        await self.host.stop()
        await self.retention.stop()
        await self.watchdog.stop()
        await self.lag.stop()
        await self.queue_protocol.close()
        await self.by_hand.close()
        await self.dispatcher.close()
        await self._close_connections()
        await self.broker.close()

    async def _kill_worker(self, worker_id: str) -> None:
        """End a process that did not stop a cancelled command in time, whoever started it."""
        if not await self.by_hand.kill(worker_id):
            await self.host.kill_worker(worker_id)

    async def _close_connections(self) -> None:
        await self.connections.close()
        for bound in self._listening:
            bound.close()
        await self._runner.cleanup()


def _connection_limits(settings: ServerSettings) -> ConnectionLimits:
    return ConnectionLimits(
        most=room_for_connections(settings.max_connections),
        header=settings.header_timeout,
        idle=settings.idle_timeout,
        body=settings.body_timeout,
        unsent=settings.max_unsent_bytes,
    )


def _channel_limits(settings: ServerSettings) -> ChannelLimits:
    return ChannelLimits(
        hello=settings.max_hello_bytes,
        seconds=settings.hello_timeout,
        waiting=settings.max_waiting_channels,
        message=settings.max_message_bytes,
    )


def _bind(settings: ServerSettings) -> list[socket.socket]:
    """Take the port, before anything else is touched; on loopback in both families: modules say ``localhost``.

    Raises ``OSError``.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = [socket.create_server((settings.host, settings.port), family=family, backlog=1024)]
    if settings.host in ("127.0.0.1", "localhost"):
        port = int(bound[0].getsockname()[1])
        with contextlib.suppress(OSError):
            bound.append(socket.create_server(("::1", port), family=socket.AF_INET6, backlog=1024))
    return bound


async def run(settings: ServerSettings, stop: asyncio.Event, folder: DataFolder) -> None:
    """Serve until ``stop`` is set. The data folder must be taken."""
    app = App(settings)
    for path in await asyncio.to_thread(make_private, settings.data_dir, {settings.environments_folder}):
        app.log.add(f"The rights of {path} cannot be changed: others on this machine may read it.", "warning")
    for text in folder.damaged:
        app.log.add(text, "error")
    port = await app.start()
    await asyncio.to_thread(folder.announce, settings.address(port))
    app.log.add(f"Millrace listens on {settings.address(port)} (explorer: http://localhost:{port}/explorer.html)")
    try:
        await stop.wait()
    finally:
        app.log.add("Stopping")
        await app.stop()
        app.log.add("Stopped")
