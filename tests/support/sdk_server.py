"""The server's end of the channel, and real module processes that connect to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import WSMsgType, web
from codeproject_ai_sdk import protocol
from codeproject_ai_sdk.protocol import Command, Delta, Events, Fields, FileHeader, Hello, NamedValue, Result

MODULES = Path(__file__).with_name("sdk_modules")
SDK = Path(__file__).parents[2] / "sdk"
WAIT = 60.0
"""Seconds until a test gives up waiting for an event."""

M = TypeVar("M")
Greeting = Callable[[Hello], protocol.Welcome | protocol.Refused]


def welcome_all(hello: Hello) -> protocol.Welcome:
    """Welcome a module and know all commands that it resumes, up to nothing."""
    return protocol.Welcome(protocol.VERSION, [protocol.Resume(each.command_id, 0) for each in hello.resumes])


class ChannelServer:
    """Takes one module; records what it says in ``messages`` and acknowledges it unless told not to."""

    def __init__(self) -> None:
        self.messages: list[protocol.ToServer] = []
        self.hellos: list[Hello] = []
        self.greet: Greeting = welcome_all
        self.acknowledge = True
        self._socket: web.WebSocketResponse | None = None
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen, on the same port as before when there was one."""
        app = web.Application()
        app.router.add_get(protocol.CHANNEL_PATH, self._talk)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End the connection and stop listening."""
        await self.disconnect()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def disconnect(self) -> None:
        """Drop the connection as a dying server would, without a word."""
        if self._socket is not None and (request := self._socket._req) is not None:
            if request.transport is not None:
                request.transport.abort()
            self._socket = None

    async def send(self, message: protocol.ToModule, *contents: bytes) -> None:
        """Send a message, and files as binary frames after it."""
        assert self._socket is not None
        await self._socket.send_str(protocol.encode(message).decode())
        for content in contents:
            await self._socket.send_bytes(content)

    async def command(self, command_id: str, name: str, /, **values: str) -> None:
        """Send a command without files."""
        named = [NamedValue(key, [value]) for key, value in values.items()]
        await self.send(Command(command_id, name, named, [], []))

    async def call(self, command_id: str, name: str, /, **values: str) -> dict[str, Any]:
        """Send a command and return its answer."""
        await self.command(command_id, name, **values)
        return await self.answer(command_id)

    async def upload(self, command_id: str, headers: list[FileHeader], *contents: bytes) -> dict[str, Any]:
        """Send an ``echo`` command with files and return its answer."""
        await self.send(Command(command_id, "echo", [], headers, ["a", "b"]), *contents)
        return await self.answer(command_id)

    async def answer(self, command_id: str) -> dict[str, Any]:
        """Wait for a command's result and return its output."""
        result = await self.find(Result, lambda result: result.command_id == command_id)
        output: dict[str, Any] = json.loads(bytes(result.output))
        assert result.success is bool(output["success"])
        return output

    async def find(self, kind: type[M], wanted: Callable[[M], bool] = lambda _: True) -> M:
        """Wait for the first message of that kind which is wanted."""

        def found() -> M | None:
            return next((each for each in self.messages if isinstance(each, kind) and wanted(each)), None)

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: found() is not None), WAIT)
        message = found()
        assert message is not None
        return message

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds that can only change with a message."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), WAIT)

    def text_of(self, command_id: str) -> str:
        """Return the command's deltas, each number once. Fails when a number is missing or changed."""
        events = self.numbered(command_id)
        return "".join(event.text for event in events.values() if isinstance(event, Delta))

    def fields_of(self, command_id: str) -> dict[str, Any]:
        """Return the command's fields so far."""
        fields: dict[str, Any] = {}
        for event in self.numbered(command_id).values():
            if isinstance(event, Fields):
                fields.update(event.values)
        return fields

    def numbered(self, command_id: str) -> dict[int, protocol.ReplyEvent]:
        """Return the command's events by number, as sent first. Fails when a number was used twice or left out."""
        numbered: dict[int, protocol.ReplyEvent] = {}
        for message in self.messages:
            if isinstance(message, Events) and message.command_id == command_id:
                for n, event in enumerate(message.events, message.first):
                    assert numbered.setdefault(n, event) == event
        assert list(numbered) == list(range(1, len(numbered) + 1))
        return numbered

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        hello = protocol.decode_to_server(await socket.receive_str())
        assert isinstance(hello, Hello)
        self._socket = socket
        await socket.send_str(protocol.encode(self.greet(hello)).decode())
        self.hellos.append(hello)
        await self._note(hello)
        with contextlib.suppress(ConnectionError):
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    for line in frame.data.split("\n"):
                        await self._hear(socket, protocol.decode_to_server(line))
        return socket

    async def _hear(self, socket: web.WebSocketResponse, message: protocol.ToServer) -> None:
        if self.acknowledge and isinstance(message, Events | Result):
            n = message.n if isinstance(message, Result) else message.first + len(message.events) - 1
            await socket.send_str(protocol.encode(protocol.Ack(message.command_id, n)).decode())
        await self._note(message)

    async def _note(self, message: protocol.ToServer) -> None:
        self.messages.append(message)
        async with self._news:
            self._news.notify_all()


class ModuleProcess:
    """One module script in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process = process
        self._output = output

    async def exit_code(self) -> int:
        """Wait for the process to end."""
        return await asyncio.wait_for(self.process.wait(), WAIT)

    def output(self) -> str:
        """Return what it has printed so far, on both streams."""
        return self._output.read_text(encoding="utf-8", errors="replace")


@contextlib.asynccontextmanager
async def channel_server() -> AsyncIterator[ChannelServer]:
    """Serve inside the block."""
    server = ChannelServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def module(script: str, *arguments: str, **environment: str) -> AsyncIterator[ModuleProcess]:
    """Run a module script inside the block; it is killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.txt"
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(MODULES / f"{script}.py"),
                *arguments,
                env={**os.environ, **_environment(script, folder), **environment},
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
            )
        try:
            yield ModuleProcess(process, output)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def served_module(
    script: str, *, greet: Greeting = welcome_all, **environment: str
) -> AsyncIterator[tuple[ChannelServer, ModuleProcess]]:
    """Run a module script connected to a server; both are there, and the module is ready, inside the block."""
    async with channel_server() as server:
        server.greet = greet
        async with module(script, **channel_of(server), **environment) as process:
            await server.find(protocol.Ready)
            yield server, process


def channel_of(server: ChannelServer) -> dict[str, str]:
    """Return the environment that sends a module to this server."""
    return {
        "MILLRACE_CHANNEL_URL": f"http://127.0.0.1:{server.port}{protocol.CHANNEL_PATH}",
        "MILLRACE_CHANNEL_SECRET": "a secret",
        "MILLRACE_LAUNCH_ID": "launch-1",
    }


def _environment(script: str, folder: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(SDK),
        "PYTHONUNBUFFERED": "1",
        "CPAI_MODULE_ID": f"Test_{script}",
        "CPAI_MODULE_NAME": f"Test {script}",
        "CPAI_MODULE_PATH": folder,
        "CPAI_MODULE_PARALLELISM": "3",
        "CPAI_APPROOTPATH": folder,
    }
