"""A server that speaks only the queue protocol over HTTP, as far as a module sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

WAIT = 60.0


class QueueServer:
    """Hands out requests to whoever polls, and keeps what the module posts."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, dict[str, Any]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.logs: list[dict[str, str]] = []
        self.polls: list[str] = []
        self.idle: list[web.Response] = []
        """Answers to give to the next polls instead of holding them."""
        self._requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on a port, by default a free one."""
        app = web.Application()
        app.router.add_get("/v1/queue/{queue}", self._poll)
        app.router.add_post("/v1/queue/updatemodulestatus/{module}", self._status)
        app.router.add_post("/v1/queue/{request}", self._answer)
        app.router.add_post("/v1/log/", self._log)
        app.router.add_post("/v1/custom/echo", self._echo)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def put(self, request_id: str, command: str, /, **values: str) -> None:
        """Queue a request."""
        self.put_files(request_id, command, [], **values)

    def put_files(self, request_id: str, command: str, files: list[dict[str, Any]], /, **values: str) -> None:
        """Queue a request with files, their ``data`` in base64."""
        payload = {
            "command": command,
            "values": [{"key": key, "value": [value]} for key, value in values.items()],
            "files": files,
            "urlSegments": [],
        }
        self._requests.put_nowait({"reqid": request_id, "reqtype": command, "payload": payload})

    async def call(self, request_id: str, command: str, /, **values: str) -> dict[str, Any]:
        """Queue a request and wait for its answer."""
        self.put(request_id, command, **values)
        return await self.answer(request_id)

    async def answer(self, request_id: str) -> dict[str, Any]:
        """Wait for a request's answer."""
        await self.until(lambda: request_id in self.answers)
        return self.answers[request_id]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds that can only change with something the module sends."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), WAIT)

    async def _poll(self, request: web.Request) -> web.Response:
        self.polls.append(f"{request.match_info['queue']} {request.query['moduleId']}")
        await self._tell()
        if self.idle:
            return self.idle.pop(0)
        return web.json_response(await self._requests.get())

    async def _answer(self, request: web.Request) -> web.Response:
        self.answers[request.match_info["request"]] = json.loads(await request.text())
        await self._tell()
        return web.Response(text="Response saved.")

    async def _status(self, request: web.Request) -> web.Response:
        self.statuses.append(json.loads(str((await request.post())["statusData"])))
        await self._tell()
        return web.Response(text="Module status updated")

    async def _log(self, request: web.Request) -> web.Response:
        self.logs.append({key: str(value) for key, value in (await request.post()).items()})
        await self._tell()
        return web.json_response({"success": True})

    async def _echo(self, request: web.Request) -> web.Response:
        form = await request.post()
        shown = {}
        for key, value in form.items():
            shown[key] = value.file.read().decode() if isinstance(value, web.FileField) else str(value)
        return web.json_response(shown)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@contextlib.asynccontextmanager
async def queue_server() -> AsyncIterator[QueueServer]:
    """Serve inside the block."""
    server = QueueServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
