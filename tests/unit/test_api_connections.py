"""Connections that do nothing end, and make room; those that wait, follow or move live on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from server.config import SettingsError, load_settings
from server.descriptors import connections_within
from server.http.connections import ConnectionLimits, Connections
from server.http.errors import error_middleware
from server.log_book import LogBook
from tests.support.hosting_modules import eventually
from tests.support.server_process import ROOT
from tests.support.unreadable import no_descriptors

HEAD = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n"
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Served:
    """A server with a clock that only the test moves."""

    def __init__(self, most: int, unsent: int) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.release = asyncio.Event()
        self.arrived = asyncio.Event()
        limits = ConnectionLimits(most=most, header=30, idle=300, body=60, unsent=unsent)
        self.connections = Connections(limits, self.said.append, lambda: self.now)
        self.app = web.Application(middlewares=[self.connections.middleware, error_middleware(LogBook())])
        self.app.router.add_get("/quick", self._quick)
        self.app.router.add_get("/large", self._large)
        self.app.router.add_get("/huge", self._huge)
        self.app.router.add_get("/slow", self._slow)
        self.app.router.add_post("/upload", self._upload)
        self.app.router.add_get("/stream", self._stream)
        self.app.router.add_get("/socket", self._socket)
        self.port = 0
        self.peers: list[Peer] = []

    async def _quick(self, _: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _large(self, _: web.Request) -> web.Response:
        return web.Response(body=bytes(16_000_000))

    async def _huge(self, _: web.Request) -> web.Response:
        return web.Response(body=bytes(64_000_000))

    async def _slow(self, _: web.Request) -> web.Response:
        self.arrived.set()
        await self.release.wait()
        return web.Response(text="slow")

    async def _upload(self, request: web.Request) -> web.Response:
        self.arrived.set()
        return web.Response(text=str(len(await request.read())))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.arrived.set()
        await self.release.wait()
        await response.write(b"data: still there\n\n")
        return response

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(await socket.receive_str())
        return socket

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self, data: bytes = b"") -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        self.peers.append((reader, writer))
        return reader, writer

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.connections.sweep()

    @property
    def number(self) -> int:
        return len(self.connections._open)


@contextlib.asynccontextmanager
async def serving(most: int = 100, unsent: int = 20_000_000) -> AsyncIterator[Served]:
    served = Served(most, unsent)
    runner = web.AppRunner(served.app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    listening = socket.create_server(("127.0.0.1", 0))
    served.port = listening.getsockname()[1]
    served.connections.serve([listening], runner.server)
    try:
        yield served
    finally:
        for _, writer in served.peers:
            writer.close()
        await served.connections.close()
        listening.close()
        await runner.cleanup()


async def answer(peer: Peer) -> str:
    head = (await peer[0].readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.splitlines() if line.lower().startswith("content-length"))
    body = await peer[0].readexactly(int(length.split(":")[1]))
    return f"{head.split()[1]} {body.decode()}"


async def ended(peer: Peer) -> bool:
    try:
        return await peer[0].read(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", HEAD])
async def test_a_connection_without_a_request_ends(sent: bytes) -> None:
    async with serving() as served:
        peer = await served.connect(sent)
        await eventually(lambda: served.number == 1)
        served.pass_time(29)
        assert served.number == 1
        served.pass_time(2)
        assert await ended(peer)


async def test_headers_that_come_byte_by_byte_are_not_given_more_time() -> None:
    async with serving() as served:
        peer = await served.connect(HEAD)
        await eventually(lambda: served.number == 1)
        for byte in b"X-A: 1":
            peer[1].write(bytes([byte]))
            served.pass_time(6)
        assert await ended(peer)


async def test_a_connection_is_kept_between_requests_for_a_while() -> None:
    async with serving() as served:
        peer = await served.connect(HEAD + b"\r\n")
        assert await answer(peer) == "200 quick"
        served.pass_time(299)
        peer[1].write(HEAD + b"\r\n")
        assert await answer(peer) == "200 quick"
        served.pass_time(301)
        assert await ended(peer)


async def test_half_a_second_request_has_the_time_of_a_first_one() -> None:
    async with serving() as served:
        peer = await served.connect(HEAD + b"\r\n")
        assert await answer(peer) == "200 quick"
        (connection,) = served.connections._open.values()
        served.pass_time(200)
        peer[1].write(HEAD)
        await eventually(lambda: connection.since == served.now)
        served.pass_time(31)
        assert await ended(peer)


async def test_who_waits_for_an_answer_may_wait() -> None:
    async with serving() as served:
        peer = await served.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await served.arrived.wait()
        served.pass_time(100_000)
        served.release.set()
        assert await answer(peer) == "200 slow"


async def test_a_stream_of_events_and_a_websocket_live_on() -> None:
    async with serving() as served:
        stream = await served.connect(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await served.arrived.wait()
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{served.url}/socket") as socket:
            served.pass_time(100_000)
            await socket.send_str("still there")
            assert await socket.receive_str() == "still there"
        served.release.set()
        assert b"data: still there" in await stream[0].readuntil(b"still there")


async def test_a_slow_upload_that_moves_lives_and_one_that_stands_still_is_told_so() -> None:
    async with serving() as served:
        moving, still = await served.connect(UPLOAD), await served.connect(UPLOAD)
        await eventually(lambda: sum(each._request is not None for each in served.connections._open.values()) == 2)
        for _ in range(10):
            served.now += 59
            moving[1].write(b"x")
            await eventually(lambda: any(each._moved == served.now for each in served.connections._open.values()))
            served.connections.sweep()
        assert await answer(moving) == "200 10"
        assert "Nothing more of the body has come for 60 s" in (said := await answer(still))
        assert said.startswith("408")
        assert await ended(still)


async def test_the_oldest_idle_connection_makes_room() -> None:
    async with serving(most=3) as served:
        waiting = await served.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await served.arrived.wait()
        served.now += 1
        first = await served.connect()
        await eventually(lambda: served.number == 2)
        served.now += 1
        second = await served.connect(HEAD)
        await eventually(lambda: served.number == 3)
        served.now += 1
        third = await served.connect(HEAD + b"\r\n")
        assert await answer(third) == "200 quick"
        assert await ended(first)
        assert served.number == 3
        assert "the one that has done nothing for longest makes room" in served.said[0]
        second[1].write(b"\r\n")
        assert await answer(second) == "200 quick"
        served.release.set()
        assert await answer(waiting) == "200 slow"


async def test_when_nobody_is_idle_a_new_one_is_refused_in_words() -> None:
    async with serving(most=1) as served:
        waiting = await served.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await served.arrived.wait()
        refused = await served.connect()
        said = await answer(refused)
        assert said.startswith("503")
        assert "as many connections as it can" in said
        served.release.set()
        assert await answer(waiting) == "200 slow"
        assert await answer(await served.connect(HEAD + b"\r\n")) == "200 quick"


async def test_many_connections_at_once_are_never_more_than_allowed() -> None:
    async with serving(most=20) as served:
        most = 0
        for _ in range(10):
            for peer in await asyncio.gather(*(served.connect() for _ in range(20))):
                peer[1].write(HEAD)
            async with aiohttp.ClientSession() as session, session.get(f"{served.url}/quick") as got:
                assert await got.text() == "quick"
            most = max(most, served.number)
        assert most <= 20


async def test_a_server_without_descriptors_accepts_again_when_there_are_some() -> None:
    loop = asyncio.get_running_loop()
    async with serving() as served:
        with socket.socket() as client:
            client.setblocking(False)
            with no_descriptors():
                await loop.sock_connect(client, ("127.0.0.1", served.port))
                await eventually(lambda: bool(served.said))
            assert served.said == ["No connection can be accepted: Too many open files. It is tried again."]
            await loop.sock_sendall(client, HEAD + b"\r\n")
            assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("descriptors", "expected"), [(100, 36), (256, 192), (1024, 768), (4096, 3072), (100_000, 4096), (20, 16)]
)
def test_a_part_of_the_descriptors_is_kept_back(descriptors: int, expected: int) -> None:
    assert connections_within(descriptors, 4096) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_limit_of_the_system_is_raised_as_far_as_it_may_be() -> None:
    ask = (
        "import resource\n"
        "from server.descriptors import room_for_connections\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "room = room_for_connections(800)\n"
        "print(soft, hard, room, *resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )

    def asked(limits: str) -> list[int]:
        command = ["bash", "-c", f'{limits} && exec "$@"', "bash", sys.executable, "-c", ask]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return [int(word) for word in done.stdout.split()]

    assert asked("ulimit -Sn 256 && ulimit -Hn 2000") == [256, 2000, 800, 1824, 2000]
    assert asked("ulimit -Sn 256 && ulimit -Hn 1000") == [256, 1000, 750, 1000, 1000]
    assert asked("ulimit -n 100") == [100, 100, 36, 100, 100]


@pytest.mark.parametrize("name", ["max_connections", "header_timeout", "idle_timeout", "body_timeout"])
def test_limits_under_which_nobody_could_be_served_are_refused(name: str) -> None:
    for value in ("0", "-1"):
        with pytest.raises(SettingsError, match=f"{name} must be more than 0"):
            load_settings([], {f"MILLRACE_{name.upper()}": value})
    assert getattr(load_settings([], {f"MILLRACE_{name.upper()}": "7"})[0], name) == 7


async def test_answers_that_nobody_reads_make_room_for_those_that_are_read() -> None:
    async with serving() as served:
        peers = []
        for _ in range(6):
            reader, writer = await served.connect(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.read(1)
            peers.append((reader, writer))
        await eventually(lambda: served.number == 1)
        assert "wait for their readers" in served.said[0]
        rest = await peers[-1][0].readuntil(b"\r\n\r\n")
        assert b"16000000" in rest
        assert len(await peers[-1][0].readexactly(16_000_000)) == 16_000_000
        assert await answer(await served.connect(HEAD + b"\r\n")) == "200 quick"


async def huge(served: Served) -> Peer:
    peer = await served.connect(b"GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await peer[0].readuntil(b"\r\n\r\n")
    return peer


async def test_an_answer_that_is_longer_than_the_bound_is_sent_to_who_reads_it() -> None:
    async with serving() as served:
        reader, _ = await huge(served)
        assert len(await reader.readexactly(64_000_000)) == 64_000_000


async def test_who_takes_something_is_not_the_one_that_ends() -> None:
    async with serving(unsent=130_000_000) as served:
        reading, idle = await huge(served), await huge(served)
        for _ in range(3):  # at first the system itself takes some of both
            await reading[0].readexactly(10_000_000)
            served.connections.sweep()
        await huge(served)
        await eventually(lambda: served.number == 2)
        assert len(await reading[0].readexactly(34_000_000)) == 34_000_000
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await idle[0].readexactly(64_000_000)
