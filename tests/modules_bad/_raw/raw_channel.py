"""The module's end of the channel without the SDK, so that it can be used wrongly. For the modules beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

HEARTBEAT_SECONDS = 2.0


class RawChannel:
    """One connection. Sends whatever it is told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a message of this type."""
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def started(self, command_id: str) -> None:
        """Say that the command is a long one."""
        await self.send("started", command_id=command_id)

    async def text(self, command_id: str, first: int, *texts: str) -> None:
        """Send text under the numbers from ``first`` on."""
        events = [{"type": "delta", "text": text} for text in texts]
        await self.send("events", command_id=command_id, first=first, events=events)

    async def result(self, command_id: str, n: int, **output: Any) -> None:
        """Send the final answer under number ``n``."""
        await self.send("result", command_id=command_id, n=n, success=True, output={"success": True, **output})


Answer = Callable[[RawChannel, dict[str, Any]], Awaitable[None]]
"""Called with every command message: ``command_id``, ``name``, ``values`` and so on."""


def run(answer: Answer, *, version: int = 1, secret: str = "", ready: bool = True, long_parallelism: int = 4) -> None:
    """Serve for ever, connecting again whenever the connection ends. Probes of the server are answered rightly."""
    hello = {
        "version": version,
        "module_id": os.environ["CPAI_MODULE_ID"],
        "launch_id": os.environ["MILLRACE_LAUNCH_ID"],
        "secret": secret or os.environ["MILLRACE_CHANNEL_SECRET"],
        "pid": os.getpid(),
        "sdk": "raw",
        "parallelism": 16,
        "long_parallelism": long_parallelism,
    }
    asyncio.run(_serve(hello, answer, ready))


async def _serve(hello: dict[str, Any], answer: Answer, ready: bool) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.ws_connect(os.environ["MILLRACE_CHANNEL_URL"], max_msg_size=0) as socket:
                    await _talk(RawChannel(socket), hello, answer, ready)
            await asyncio.sleep(0.2)


async def _talk(channel: RawChannel, hello: dict[str, Any], answer: Answer, ready: bool) -> None:
    await channel.send("hello", **hello)
    if ready:
        await channel.send("ready", parallelism=hello["parallelism"], long_parallelism=hello["long_parallelism"])
    beat = asyncio.create_task(_beat(channel))
    try:
        async for frame in channel.socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            for line in frame.data.split("\n"):
                await _take(channel, json.loads(line), answer)
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)


async def _take(channel: RawChannel, message: dict[str, Any], answer: Answer) -> None:
    if message["type"] == "quit":
        os._exit(0)
    if message["type"] != "command":
        return
    if message["name"] == "get_command_status":
        await channel.result(message["command_id"], 1)
    else:
        await answer(channel, message)


async def _beat(channel: RawChannel) -> None:
    while True:
        await channel.send("heartbeat")
        await asyncio.sleep(HEARTBEAT_SECONDS)


def value(command: dict[str, Any], name: str) -> str:
    """Return a value of the request; empty when it is not there."""
    return next((str(item["value"][0]) for item in command["values"] if item["key"] == name), "")
