"""Followers of one command: what they are sent, whatever its size, and what becomes of those that do not read."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.commands.reply_buffer import EventKind, NewEvent, ReplyBuffer
from tests.support.api_server import ApiServer, Client, running_api

Api = tuple[ApiServer, Client]
LONG = "ä€x" * 1_000_000


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def start(api: Api) -> tuple[Any, str]:
    """Start a long command; return its claim and its id."""
    server, client = api
    posting = asyncio.create_task(client.post("/v1/demo/long", data={"prompt": "hi"}))
    claim = await server.claim()
    await server.started_long(claim)
    (await posting).release()
    return claim, claim.command.command_id


async def write(api: Api, command_id: str, *texts: str) -> None:
    await api[0].dispatcher.append(command_id, [NewEvent(EventKind.DELTA, text) for text in texts])


async def follow(client: Client, command_id: str, headers: str = "") -> tuple[asyncio.StreamReader, Any]:
    """Follow a command over a connection that takes little ahead."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    assert client.port is not None
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", client.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    head = f"GET /v1/commands/{command_id}/events HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}{headers}\r\n".encode())
    return reader, writer


def events(stream: bytes) -> list[tuple[int, str, Any]]:
    found = re.findall(rb"^id: (\d+)\nevent: (\w+)\ndata: (.*)$", stream, re.MULTILINE)
    return [(int(seq), kind.decode(), json.loads(data)) for seq, kind, data in found]


async def test_events_longer_than_a_piece_arrive_whole(api: Api) -> None:
    claim, command_id = await start(api)
    texts = ["a", LONG[:100_000], "b" * 8000, "c" * 8192, "d"]
    await write(api, command_id, *texts)
    await api[0].finish(claim, reply=LONG)
    async with api[1].get(f"/v1/commands/{command_id}/events", headers={"Accept": "text/event-stream"}) as answer:
        seen = events(await answer.read())
    assert [data["text"] for _, kind, data in seen if kind == "delta"] == texts
    assert seen[-1][2]["result"]["reply"] == LONG
    assert [seq for seq, _, _ in seen] == list(range(1, len(seen) + 1))


async def test_who_stops_reading_within_an_event_that_is_gone_then_is_cut_off_and_told_when_it_comes_back(
    api: Api,
) -> None:
    claim, command_id = await start(api)
    reader, writer = await follow(api[1], command_id)
    await write(api, command_id, LONG)
    seen = await reader.readuntil(b"event: delta")  # it is being sent now, as far as the connection takes it
    await write(api, command_id, LONG, LONG)
    await api[0].finish(claim, reply="end")
    while data := await reader.read(1 << 20):
        seen += data
    writer.close()
    assert [kind for _, kind, _ in events(seen[: seen.index(b"event: delta")])][-1] == "started"
    assert b"event: result" not in seen
    assert not seen.endswith(b"\n\n")
    reader, writer = await follow(api[1], command_id, "Last-Event-ID: 2\r\n")
    rest = await reader.read(-1)
    writer.close()
    assert b": earlier events are no longer kept" in rest
    assert events(rest)[-1][1] == "result"


def test_events_are_found_by_their_number_wherever_they_are() -> None:
    buffer = ReplyBuffer(100 * 67)
    for number in range(1, 1001):
        buffer.append(NewEvent(EventKind.DELTA, f"{number:03d}"))
    kept, gone, more = buffer.after(0)
    assert (gone, more, kept[-1].seq) == (True, False, 1000)
    assert 80 <= len(kept) <= 100
    assert [event.seq for event in buffer.after(900 + 50, 3)[0]] == [951, 952, 953]
    assert buffer.after(990, 3)[1:] == (False, True)
    assert buffer.after(997, 3)[1:] == (False, False)
    assert buffer.after(1000) == ([], False, False)
    assert buffer.after(10**15) == ([], False, False)
    buffer.trim()
    assert [event.seq for event in buffer.after(0)[0]] == [1000]
    assert buffer.text.so_far().read() == "".join(f"{number:03d}" for number in range(1, 1001))
