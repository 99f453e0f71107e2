"""Whom the channel talks to: a process that was given up gets nothing more, however fast it comes back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from codeproject_ai_sdk import protocol

from server.links.channel import Channel
from tests.support.api_server import ApiServer, Client, running_api

HELLO = protocol.Hello(protocol.VERSION, "Demo", "w", "s", pid=1, sdk="raw", parallelism=4, long_parallelism=1)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Client, Client]]:
    """The parts, a client of the API, and one of the channel."""
    async with running_api(tmp_path) as (server, client):
        server.worker.secret = "s"
        app = web.Application()
        app.router.add_get("/channel", Channel(server.dispatcher, server.workers, server.log, server.by_hand).handle)
        async with TestClient(TestServer(app)) as modules:
            yield server, client, modules


@contextlib.asynccontextmanager
async def greeted(modules: Client) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse[bool], dict[str, Any]]]:
    """Connect, say hello and that it is ready; yield the connection and the first answer."""
    async with modules.ws_connect("/channel") as socket:
        for message in (HELLO, protocol.Ready(parallelism=4, long_parallelism=1)):
            await socket.send_str(protocol.encode(message).decode())
        yield socket, await socket.receive_json()


async def test_a_process_that_was_given_up_is_refused_when_it_comes_back(
    wire: tuple[ApiServer, Client, Client],
) -> None:
    server, client, modules = wire
    async with client.post("/v1/demo/long") as answer:
        command_id = (await answer.json())["commandId"]
    async with greeted(modules) as (socket, welcome):
        assert welcome["type"] == "welcome"
        command = await socket.receive_json()
        assert (command["type"], command["command_id"]) == ("command", command_id)
        await socket.send_str("no message")
        while (await socket.receive()).type != aiohttp.WSMsgType.CLOSE:
            pass
    assert server.worker.failure is not None
    async with greeted(modules) as (socket, refused):
        assert refused["type"] == "refused"
        assert server.worker.failure in refused["reason"]
    assert command_id in server.worker.running, "it is put back when the process has ended"
