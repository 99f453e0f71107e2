"""What one connection of the channel may cost: before it has proved itself, and after."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from codeproject_ai_sdk import protocol

from server.commands.command import Command
from server.http.errors import error_middleware
from server.links.channel import Channel, ChannelLimits
from tests.support.api_server import ApiServer, Client, running_api
from tests.support.hosting_modules import eventually

Socket = aiohttp.ClientWebSocketResponse[bool]
HELLO = protocol.Hello(protocol.VERSION, "Demo", "w", "s", pid=1, sdk="raw", parallelism=4, long_parallelism=4)
LIMITS = ChannelLimits(hello=10_000, seconds=0.5, waiting=3, message=100_000)


@contextlib.asynccontextmanager
async def connected(folder: Path, limits: ChannelLimits) -> AsyncIterator[tuple[ApiServer, Client, Client]]:
    async with running_api(folder) as (server, client):
        server.worker.secret = "s"
        app = web.Application(middlewares=[error_middleware(server.log)])
        app.router.add_get(
            "/channel", Channel(server.dispatcher, server.workers, server.log, server.by_hand, limits).handle
        )
        async with TestClient(TestServer(app)) as modules:
            yield server, client, modules


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Client, Client]]:
    async with connected(tmp_path, LIMITS) as parts:
        yield parts


async def say(socket: Socket, *messages: protocol.ToServer) -> None:
    for message in messages:
        await socket.send_str(protocol.encode(message).decode())


async def heard(socket: Socket, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        frame = await socket.receive(30)
        assert frame.type is WSMsgType.TEXT, frame
        for line in frame.data.split("\n"):
            message: dict[str, Any] = json.loads(line)
            if message["type"] == kind:
                return message


async def ended(server: ApiServer, command_id: str) -> Command:
    after = 0
    while not (page := await server.dispatcher.read(command_id, after, 30)).ended:
        assert page.events, "it does not end"
        after = page.events[-1].seq
    return await server.dispatcher.record(command_id)


@contextlib.asynccontextmanager
async def working(modules: Client) -> AsyncIterator[Socket]:
    async with modules.ws_connect("/channel") as socket:
        await say(socket, HELLO, protocol.Ready(parallelism=4, long_parallelism=4))
        assert (await heard(socket, "welcome"))["most"] == LIMITS.message
        yield socket


async def running(server: ApiServer, client: Client, socket: Socket) -> str:
    """Start a long command and let the module take it."""
    async with client.post("/v1/demo/long") as answer:
        command_id = str((await answer.json())["commandId"])
    assert (await heard(socket, "command"))["command_id"] == command_id
    return command_id


@pytest.mark.parametrize(
    "secret", ["grüße", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "", "t" * 5000]
)
async def test_a_wrong_secret_is_refused_whatever_is_in_it(wire: tuple[ApiServer, Client, Client], secret: str) -> None:
    _, _, modules = wire
    async with modules.ws_connect("/channel") as socket:
        await say(socket, msgspec.structs.replace(HELLO, secret=secret))
        assert "not valid" in (await heard(socket, "refused"))["reason"]


@pytest.mark.parametrize("name", ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "X-Whatever"])
async def test_a_handshake_whose_headers_are_not_ascii_is_refused(
    wire: tuple[ApiServer, Client, Client], name: str
) -> None:
    server, _, modules = wire
    shake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers = {**shake, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", name: "\udced\udca0\udc80é"}
    async with modules.get("/channel", headers=headers) as answer:
        assert answer.status == 400
        assert "ASCII" in await answer.text()
    assert [entry.entry for entry in server.log.after(0, 10) if entry.level == "error"] == []


async def test_a_first_message_that_is_long_or_in_parts_is_refused(wire: tuple[ApiServer, Client, Client]) -> None:
    _, _, modules = wire
    hello = protocol.encode(HELLO)
    for payload, first in ((hello[:-1] + b" " * 20_000 + b"}", 0x81), (hello, 0x01)):
        async with modules.ws_connect("/channel") as socket:
            assert socket._conn is not None
            transport = socket._conn.transport
            assert transport is not None
            size = len(payload).to_bytes(2, "big")
            transport.write(bytes((first, 0xFE)) + size + b"\0\0\0\0" + payload)
            assert "hello" in (await heard(socket, "refused"))["reason"]


async def test_the_hello_has_its_time_however_much_else_is_said(wire: tuple[ApiServer, Client, Client]) -> None:
    _, _, modules = wire
    async with modules.ws_connect("/channel", autoping=False) as socket:
        refused = None
        while refused is None:
            await socket.ping()
            frame = await socket.receive(30)
            refused = json.loads(frame.data) if frame.type is WSMsgType.TEXT else None
        assert refused["type"] == "refused"


async def test_only_so_many_wait_and_each_makes_room_when_it_is_let_in(
    wire: tuple[ApiServer, Client, Client],
) -> None:
    _, _, modules = wire
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(modules.ws_connect("/channel")) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await modules.ws_connect("/channel").__aenter__()
        assert refused.value.status == 429
        await say(sockets[0], HELLO)
        await heard(sockets[0], "welcome")
        last = await stack.enter_async_context(modules.ws_connect("/channel"))
        assert (await last.receive(30)).type is WSMsgType.TEXT, "its time is over"


async def test_a_message_that_is_too_long_fails_its_command_alone(wire: tuple[ApiServer, Client, Client]) -> None:
    server, client, modules = wire
    async with working(modules) as socket:
        first, second, third = [await running(server, client, socket) for _ in range(3)]
        await say(socket, *(protocol.Started(each) for each in (first, second, third)))
        await say(socket, protocol.Events(first, 1, [protocol.Delta("a")]))
        await say(socket, protocol.Events(first, 2, [protocol.Delta("b" * 200_000)]))
        output = msgspec.Raw(b'{"success":true,"reply":"' + b"c" * 200_000 + b'"}')
        await say(socket, protocol.Result(second, 1, True, output))
        await say(socket, protocol.Log("d" * 200_000), protocol.Status(msgspec.Raw(b'"' + b"e" * 200_000 + b'"')))
        await say(socket, protocol.Result(third, 1, True, msgspec.Raw(b'{"success":true,"reply":"whole"}')))
        assert (await ended(server, third)).reason is None
        for command_id in (first, second):
            record = await ended(server, command_id)
            assert (record.state.value, record.reason) == ("failed", "module_error")
            assert "max_message_bytes" in (record.error or "")
        assert (await heard(socket, "cancel"))["command_id"] == first, "it runs on, and is told to stop"
        assert list(server.worker.running) == [first]
        await say(socket, protocol.Result(first, 3, True, msgspec.Raw(b'{"success":true}')))
        await eventually(lambda: not server.worker.running)
    assert server.worker.failure is None


async def test_what_says_nothing_of_whose_it_is_ends_the_process_with_that_reason(
    wire: tuple[ApiServer, Client, Client],
) -> None:
    server, _, modules = wire
    async with working(modules) as socket:
        await socket.send_str('{"answer":"' + "x" * 200_000 + '"}')
        await eventually(lambda: server.worker.failure is not None)
    assert "200013 bytes" in (server.worker.failure or "")


async def test_what_strangers_send_is_kept_nowhere(tmp_path: Path) -> None:
    """Ten of them with 40 MB each held 400 MB."""
    limits = msgspec.structs.replace(LIMITS, seconds=60.0, waiting=64)
    async with connected(tmp_path, limits) as (_, _, modules):
        refused = 0
        for _ in range(10):
            async with modules.ws_connect("/channel") as socket:
                with contextlib.suppress(ConnectionError):
                    await socket.send_str("x" * 40_000_000)
                refused += "hello" in (await heard(socket, "refused"))["reason"]
        assert refused == 10
