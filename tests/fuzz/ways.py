"""The ways in: how an input is made and how it is sent. The same bytes can be sent again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import uuid
from typing import Any, Protocol

import aiohttp

from .chance import Chance
from .findings import fault_of
from .frames import conversation
from .malformed import Malformed
from .messages import lines
from .queue_answers import SECRET, queue_request
from .requests import COMMAND, Requests
from .target import Target
from .wire import Answer, Connection

SENDERS = 16
_HELLO_SECONDS = 60.0
_BRIEF = 0.5
"""Seconds for an answer to what may be a poll of an empty queue."""


class Way(Protocol):
    """One way in. ``senders``: how many inputs are sent at a time."""

    name: str
    senders: int

    def make(self, chance: Chance) -> bytes:
        """Make an input."""

    async def send(self, sender: int, data: bytes) -> str:
        """Send it, and return what is wrong with what came back; empty when nothing is."""

    async def close(self) -> None:
        """Let go of all connections."""


class _Wired:
    """A connection for each sender; each comes from an address of its own, as far as this machine has some."""

    name = ""
    senders = SENDERS

    def __init__(self, target: Target) -> None:
        self.target = target
        port = target.server.port
        self.connections = [Connection(port, f"127.0.{number}.1") for number in range(1, self.senders + 1)]

    async def close(self) -> None:
        for connection in self.connections:
            connection.close()


class WellFormed(_Wired):
    """Requests that are HTTP, to every route."""

    name = "requests"

    def __init__(self, target: Target, requests: Requests) -> None:
        super().__init__(target)
        self._requests = requests
        self._commands = itertools.cycle([b"x" * len(COMMAND)])

    def make(self, chance: Chance) -> bytes:
        return self._requests.make(chance)

    async def send(self, sender: int, data: bytes) -> str:
        if COMMAND in data:
            data = data.replace(COMMAND, next(self._commands))
        return fault_of(data, await self.connections[sender].ask(data))

    def know(self, ids: list[str]) -> None:
        """These are commands that the server knows."""
        if ids:
            self._commands = itertools.cycle([one.encode() for one in ids])


class Broken(_Wired):
    """Connections that begin with what is hardly HTTP."""

    name = "malformed"

    def __init__(self, target: Target, malformed: Malformed) -> None:
        super().__init__(target)
        self._malformed = malformed

    def make(self, chance: Chance) -> bytes:
        return self._malformed.make(chance)

    async def send(self, sender: int, data: bytes) -> str:
        return _fault_in(data, await self.connections[sender].throw(data, _BRIEF))


class Strangers(_Wired):
    """WebSockets of who is no process of ours."""

    name = "socket"

    def make(self, chance: Chance) -> bytes:
        return conversation(chance)

    async def send(self, sender: int, data: bytes) -> str:
        return _fault_in(data, await self.connections[sender].throw(data, _BRIEF))


class Polling(_Wired):
    """A module process that polls: it takes a request, and answers what nobody expects."""

    name = "queue"
    senders = 4

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        port = target.server.port
        self._askers = [Connection(port, f"127.0.{number}.2") for number in range(1, self.senders + 1)]
        self._key = f"X-API-Key: {list(target.keys)[-1]}\r\n".encode() if target.keys else b""

    def make(self, chance: Chance) -> bytes:
        return queue_request(chance)

    async def send(self, sender: int, data: bytes) -> str:
        data = data.replace(SECRET, self._secret())
        if COMMAND not in data:
            return fault_of(data, await self.connections[sender].ask(data, _BRIEF))
        asked = asyncio.create_task(self._askers[sender].ask(_post("/v1/poller/quick", b'{"a": "b"}', self._key), 8.0))
        fault = await self._exchange(sender, data)
        answer = await asked
        return fault or fault_of(b"POST /v1/poller/quick", answer)

    async def close(self) -> None:
        await super().close()
        for connection in self._askers:
            connection.close()

    async def _exchange(self, sender: int, data: bytes) -> str:
        poll = b"GET /v1/queue/poller_queue?moduleId=Poller HTTP/1.1\r\nHost: localhost\r\n"
        taken = await self.connections[sender].ask(poll + self._proof() + b"\r\n")
        if taken.status != 200 or not taken.whole:
            return fault_of(poll, taken)
        taken_id = json.loads(taken.body)["reqid"]
        data = data.replace(COMMAND, taken_id.encode())
        answer = await self.connections[sender].ask(data)
        if answer.status != 200:  # it goes on waiting, and there is room for a few only
            await self.connections[sender].ask(_post(f"/v1/queue/{taken_id}", b'{"success": true}', self._proof()))
        return fault_of(data, answer)

    def _proof(self) -> bytes:
        return b"X-Module-Secret: " + self._secret() + b"\r\n"

    def _secret(self) -> bytes:
        environment = self.target.seeming("Poller")
        return environment.get("MILLRACE_CHANNEL_SECRET", "none").encode()


class Proven:
    """The channel, from a process that has proved itself: it says what no SDK would say."""

    name = "channel"
    senders = 1

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._given: list[str] = []
        self._reading: asyncio.Task[None] | None = None
        self._asker = Connection(target.server.port, "127.0.9.2")
        self._asking: asyncio.Task[Answer] | None = None
        self._key = f"X-API-Key: {list(target.keys)[-1]}\r\n".encode() if target.keys else b""
        self._turn = itertools.count()

    def make(self, chance: Chance) -> bytes:
        return lines(chance)

    async def send(self, sender: int, data: bytes) -> str:
        fault = await self._ask()
        socket = await self._connected()
        given = self._given[-1] if self._given else str(uuid.uuid4())
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.send_str(data.replace(COMMAND, given.encode()).decode("utf-8", "replace"))
        return fault

    async def close(self) -> None:
        for task in (self._reading, self._asking):
            if task is not None:
                task.cancel()
        self._asker.close()
        if self._session is not None:
            await self._session.close()
        self._session = self._socket = None

    async def _ask(self) -> str:
        """Give the process something to do, one command at a time."""
        if self._asking is not None and not self._asking.done():
            return ""
        fault = "" if self._asking is None else fault_of(b"POST /v1/puppet/", self._asking.result())
        route = ("/v1/puppet/long", "/v1/puppet/quick")[next(self._turn) % 2]
        self._asking = asyncio.create_task(self._asker.ask(_post(route, b'{"a": "b"}', self._key), 8.0))
        return fault

    async def _connected(self) -> aiohttp.ClientWebSocketResponse[bool]:
        """The connection, opened anew where it has ended; for that the process may have to be started anew."""
        deadline = asyncio.get_running_loop().time() + _HELLO_SECONDS
        while self._socket is None or self._socket.closed:
            self._session = self._session or aiohttp.ClientSession()
            socket = await self._hello(self._session)
            if socket is not None:
                self._socket, self._given = socket, []
                self._reading = asyncio.create_task(self._read(socket))
            elif asyncio.get_running_loop().time() > deadline:
                raise AssertionError("the process that only seems to be there is not let in any more")
            else:
                await asyncio.to_thread(self._start_anew)
        return self._socket

    async def _hello(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse[bool] | None:
        environment = await asyncio.to_thread(self._target.seeming, "Puppet")
        hello = {
            "type": "hello",
            "version": 1,
            "module_id": "Puppet",
            "launch_id": environment["MILLRACE_LAUNCH_ID"],
            "secret": environment["MILLRACE_CHANNEL_SECRET"],
            "pid": 1,
            "sdk": "fuzz",
            "parallelism": 4,
            "long_parallelism": 4,
            "marks_unfinished": True,
        }
        socket = await session.ws_connect(environment["MILLRACE_CHANNEL_URL"], max_msg_size=0)
        await socket.send_json(hello)
        welcome = await socket.receive()
        if welcome.type is not aiohttp.WSMsgType.TEXT or json.loads(welcome.data.split("\n")[0])["type"] != "welcome":
            await socket.close()
            return None
        await socket.send_json({"type": "ready", "parallelism": 4, "long_parallelism": 4})
        return socket

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                for line in frame.data.split("\n"):
                    self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if said["type"] == "command":
            self._given = [*self._given[-8:], said["command_id"]]

    def _start_anew(self) -> None:
        self._target.start_anew("Puppet")


def _post(path: str, body: bytes, more: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    return head + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _fault_in(data: bytes, came: bytes) -> str:
    """What is wrong with what came back on a connection: only the first answer is looked at."""
    head = came.split(b"\r\n\r\n")[0]
    words = head.split(b" ", 2)
    if not words[0].startswith(b"HTTP/1") or len(words) < 3 or not words[1].isdigit():
        return ""
    return fault_of(data, Answer(int(words[1]), head, b"x"))
