"""What is no HTTP gets an answer in JSON and a line in the log now and then; its headers have limits."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.api.pages import add_pages
from server.config import ROOT
from server.http.connections import ConnectionLimits, Connections
from server.http.unreadable import HandlerMaker
from tests.support.api_server import ApiServer

POST = b"POST /v1/demo/quick HTTP/1.1\r\nHost: localhost\r\n"


class Served:
    """The API on a socket, with a clock that only the test moves."""

    def __init__(self, folder: Path) -> None:
        self.api = ApiServer(folder)
        self.now = 1000.0
        self.said: list[str] = []
        self.port = 0

    async def send(self, data: bytes) -> tuple[int, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.splitlines() if line.lower().startswith("content-length"))
        body = await reader.readexactly(int(length.split(":")[1]))
        writer.close()
        return int(head.split()[1]), json.loads(body)


@pytest.fixture
async def served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Served]:
    served = Served(tmp_path)
    await served.api.broker.open()
    limits = ConnectionLimits(most=10, header=30, idle=300, body=60)
    connections = Connections(limits, served.said.append)
    await asyncio.to_thread(add_pages, served.api.app, ROOT / "explorer")
    served.api.app.middlewares.insert(0, connections.middleware)
    runner = web.AppRunner(served.api.app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    listening = socket.create_server(("127.0.0.1", 0))
    served.port = listening.getsockname()[1]
    connections.serve(
        [listening],
        HandlerMaker(
            runner.server, served.said.append, lambda: served.now, access_log=None, max_headers=20, max_field_size=1000
        ),
    )
    try:
        yield served
        traces = [record for record in caplog.records if record.name.startswith("aiohttp") and record.levelno > 10]
        assert traces == []
    finally:
        await connections.close()
        listening.close()
        await runner.cleanup()
        await served.api.queue_protocol.close()
        await served.api.dispatcher.close()
        await served.api.broker.close()


@pytest.mark.parametrize(
    ("request_bytes", "status", "says"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "cannot be read"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "cannot be read"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "cannot be read"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: 1\r\n" * 21 + b"\r\n", 431, "Too many headers"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"1" * 1001 + b"\r\n\r\n", 431, "1000 bytes"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A" * 1001 + b": 1\r\n\r\n", 431, "1000 bytes"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431, "8190 bytes"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400, "cannot be read"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "cannot be read"),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "cannot be read"),
    ],
)
async def test_a_request_that_cannot_be_read_is_told_so(
    served: Served, request_bytes: bytes, status: int, says: str
) -> None:
    got, answer = await served.send(request_bytes)
    assert (got, answer["success"], answer["code"]) == (status, False, status)
    assert says in answer["error"]
    assert len(answer["error"]) < 200
    assert "\n" not in "".join(served.said)


async def test_a_flood_of_them_is_one_line_in_a_minute(served: Served) -> None:
    for _ in range(5):
        await served.send(b"nonsense\r\n\r\n")
    assert len(served.said) == 1
    served.now += 61
    await served.send(b"nonsense\r\n\r\n")
    assert "A request from 127.0.0.1 cannot be read" in served.said[1]
    assert "(4 more like it" in served.said[1]


async def test_who_expects_to_be_told_to_go_on_may_go_away_instead(served: Served) -> None:
    """The look at the log is in ``served``."""
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write((POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n") * 3)
        writer.transport.abort()
        await reader.read()
    assert (await served.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 200


async def test_the_name_of_a_file_may_be_too_long(served: Served) -> None:
    for path in (b"/assets/" + b"a" * 300, b"/assets/%00", b"/assets/a%00b/", b"/" + b"b" * 300):
        got, answer = await served.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (got, answer["success"]) == (404, False)
    assert [entry.entry for entry in served.api.log.after(0, 10) if entry.level == "error"] == []
