"""The least that two processes can cost: a bare handler that lets another process answer each request.

One WebSocket, one event loop at either end, no queue, no threads, no records: what is above this is Millrace's own.
``python -m benchmarks.peers.hop`` prints its address once its other process (the same with ``PORT``) is connected.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from ..event_loop import run_loop


class Front:
    """Takes requests, and waits for the other process to answer each."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._socket: web.WebSocketResponse | None = None
        self.connected = asyncio.Event()

    async def channel(self, request: web.Request) -> web.WebSocketResponse:
        """Hear the other process."""
        self._socket = web.WebSocketResponse(compress=False)
        await self._socket.prepare(request)
        self.connected.set()
        async for frame in self._socket:
            number, answer = msgspec.json.decode(frame.data)
            self._waiting.pop(number).set_result(answer)
        return self._socket

    async def echo(self, request: web.Request) -> web.Response:
        """Let the other process answer a JSON body."""
        assert self._socket is not None
        self._number += 1
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        message = msgspec.json.encode([self._number, await request.json()])
        await self._socket.send_frame(message, WSMsgType.TEXT)
        return web.json_response(await answer)


async def serve() -> None:
    """Start the other process and serve for ever."""
    front = Front()
    app = web.Application()
    app.router.add_get("/channel", front.channel)
    app.router.add_post("/echo", front.echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port = runner.addresses[0][1]
    await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.peers.hop", str(port))
    await front.connected.wait()
    print(f"listens on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


async def answer(port: int) -> None:
    """Be the other process: answer until the connection ends."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/channel") as socket:
        async for frame in socket:
            number, body = msgspec.json.decode(frame.data)
            reply = msgspec.json.encode([number, {"success": True, "output": body}])
            await socket.send_frame(reply, WSMsgType.TEXT)


if __name__ == "__main__":
    run_loop(answer(int(sys.argv[1])) if len(sys.argv) > 1 else serve())
