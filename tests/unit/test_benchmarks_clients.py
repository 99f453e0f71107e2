"""The two client programs of the benchmarks, against tiny real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from benchmarks.follow import follow
from benchmarks.http_connection import HttpConnection, form_with_file, request_bytes
from benchmarks.load import generate
from benchmarks.peers.bare import Talk, echo, upload

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[int]:
    """Serve each handler at the path of its name; yield the port."""
    app = web.Application(client_max_size=16 * 1024**2)
    for name, handler in handlers.items():
        app.router.add_post(f"/{name}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_the_load_generator_counts_what_it_was_answered() -> None:
    served = 0

    async def count(request: web.Request) -> web.Response:
        nonlocal served
        assert await request.json() == {"n": 1}
        served += 1
        await asyncio.sleep(0.01)
        return web.json_response({"success": True})

    async with serving(count=count) as port:
        load = await generate(port, request_bytes("POST", "/count", b'{"n":1}'), 4, 0.3, b'"success": true')
    assert (load.answers, load.errors) == (served, 0)
    assert load.answers >= 4
    assert 0 < load.rate <= 4 * 1000 / 10, "four connections, and no answer takes less than 10 ms"
    assert 10 <= load.p50 <= load.p99


async def test_wrong_answers_are_counted_and_shown() -> None:
    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500, text="broken")

    async with serving(fail=fail) as port:
        load = await generate(port, request_bytes("POST", "/fail"), 1, 0.05)
        wrong = await generate(port, request_bytes("POST", "/missing"), 1, 0.05, b"ok")
    assert load.errors == load.answers > 0
    assert load.first_error == "500 b'broken'"
    assert wrong.first_error.startswith("404")


async def test_an_answer_without_a_length_is_an_error_not_a_hang() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        return response

    async with serving(stream=stream) as port:
        load = await generate(port, request_bytes("POST", "/stream"), 1, 0.05)
    assert (load.answers, load.errors) == (0, 1)
    assert "without Content-Length" in load.first_error


async def test_an_answer_may_come_in_any_pieces() -> None:
    answers: list[tuple[int, bytes]] = []
    connection = HttpConnection(lambda _, status, body: answers.append((status, body)))
    for byte in b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhelloHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n":
        connection.data_received(bytes([byte]))
    assert answers == [(200, b"hello"), (404, b"")]


async def test_a_form_with_a_file_arrives_whole() -> None:
    async def size(request: web.Request) -> web.Response:
        field = (await request.post())["image"]
        assert isinstance(field, web.FileField)
        return web.json_response({"size": len(field.file.read())})

    body, content_type = form_with_file(300_000)
    async with serving(size=size, upload=upload) as port:
        load = await generate(port, request_bytes("POST", "/size", body, content_type), 1, 0.05, b'"size": 300000')
        bare = await generate(port, request_bytes("POST", "/upload", body, content_type), 1, 0.05, b"success")
    assert (load.errors, bare.errors) == (0, 0), load.first_error + bare.first_error


async def test_the_peer_echoes() -> None:
    async with serving(echo=echo) as port:
        load = await generate(port, request_bytes("POST", "/echo", b'{"n":7}'), 2, 0.05, b'{"n": 7}')
    assert load.errors == 0
    assert load.answers > 0


async def when_ready(capsys: pytest.CaptureFixture[str], then: Callable[[], Awaitable[object]]) -> None:
    deadline = time.monotonic() + 60
    while "ready" not in capsys.readouterr().out:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await then()


async def test_watchers_count_events_and_measure_how_old_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk()
    async with serving(tokens=talk.tokens, go=talk.go) as port:
        following = asyncio.ensure_future(follow("POST", port, "/tokens?wait=1&count=10&rate=200", 3))
        await when_ready(capsys, lambda: generate(port, request_bytes("POST", "/go"), 1, 0))
        followed = await asyncio.wait_for(following, 60)
    assert (followed.events, followed.stamps) == (30, 30)
    assert 0 <= followed.p50 <= followed.p99 <= followed.worst


async def test_every_watcher_gets_the_whole_flood(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk()
    async with serving(flood=talk.flood, go=talk.go) as port:
        before = time.monotonic_ns()
        following = asyncio.ensure_future(follow("POST", port, "/flood?count=500", 5))
        await when_ready(capsys, lambda: generate(port, request_bytes("POST", "/go"), 1, 0))
        followed = await asyncio.wait_for(following, 60)
    assert followed.events == 2500
    assert before < followed.last_ns <= time.monotonic_ns()


async def test_a_stream_that_is_cut_off_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": waiting\n\nid: 1\ndata: {}\n\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(cut=cut) as port:
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(follow("POST", port, "/cut", 1), 60)
