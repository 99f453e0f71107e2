"""The ceiling: a bare aiohttp application in a process of its own, which does each benchmark's work and no more.

``python -m benchmarks.peers.bare`` prints its address like the server does, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import web

from ..event_loop import run_loop

_SSE = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_CHUNK = 256 * 1024


async def echo(request: web.Request) -> web.Response:
    """Answer a JSON body with itself."""
    return web.json_response({"success": True, "output": await request.json()})


async def upload(request: web.Request) -> web.Response:
    """Receive a body and do nothing with it."""
    size = 0
    async for chunk in request.content.iter_chunked(_CHUNK):
        size += len(chunk)
    return web.json_response({"success": True, "size": size})


class Talk:
    """Streams: one token stream for each client, or one flood of events for all who watch."""

    def __init__(self) -> None:
        self._go = asyncio.Event()
        self._sent = asyncio.Event()
        self._watchers: list[web.StreamResponse] = []

    async def go(self, _: web.Request) -> web.Response:
        """Let the streams that wait begin."""
        go, self._go = self._go, asyncio.Event()
        go.set()
        return web.json_response({"success": True})

    async def tokens(self, request: web.Request) -> web.StreamResponse:
        """Write ``count`` time stamps, ``rate`` a second."""
        go = self._go
        response = await self._begin(request)
        if "wait" in request.query:
            await go.wait()
        pause, begin = 1 / float(request.query["rate"]), time.monotonic()
        for number in range(1, int(request.query["count"]) + 1):
            await response.write(_event(number, f"@{time.monotonic_ns()};"))
            await asyncio.sleep(max(0.0, begin + number * pause - time.monotonic()))
        await response.write_eof()
        return response

    async def flood(self, request: web.Request) -> web.StreamResponse:
        """Send ``count`` events to everybody who watches, each event made once; the first watcher's task does it."""
        sent, go = self._sent, self._go
        response = await self._begin(request)
        self._watchers.append(response)
        first = len(self._watchers) == 1
        await go.wait()
        if first:
            watchers, self._watchers, self._sent = self._watchers, [], asyncio.Event()
            for number in range(1, int(request.query["count"]) + 1):
                event = _event(number, "x")
                for watcher in watchers:
                    await watcher.write(event)
            sent.set()
        await sent.wait()
        await response.write_eof()
        return response

    @staticmethod
    async def _begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_SSE)
        await response.prepare(request)
        await response.write(b": waiting\n\n")
        return response


def _event(number: int, text: str) -> bytes:
    return f"id: {number}\nevent: delta\ndata: {json.dumps({'text': text})}\n\n".encode()


async def serve() -> None:
    """Serve for ever."""
    talk = Talk()
    app = web.Application(client_max_size=1024**3)
    app.router.add_post("/echo", echo)
    app.router.add_post("/upload", upload)
    app.router.add_post("/go", talk.go)
    app.router.add_post("/tokens", talk.tokens)
    app.router.add_post("/flood", talk.flood)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    print(f"listens on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(serve())
