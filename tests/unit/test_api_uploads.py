"""Whoever receives a file owns it until a command was accepted with it: every refusal leaves the folder empty."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.commands.blobs import BlobError
from server.commands.errors import ModuleUnavailableError
from tests.support.api_server import ApiServer, Client, running_api
from tests.support.hosting_modules import eventually

LARGE = 1_500_000
HEAD = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + b"x" * LARGE
MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}
Api = tuple[ApiServer, Client]
Refused = Callable[[ApiServer, Client], Awaitable[int]]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(
        tmp_path, max_body_bytes=4_000_000, queue_length=1, max_uploads_bytes=5_000_000, response_timeout=0.1
    ) as (api, client):
        yield api, client


def form(**values: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in values.items():
        data.add_field(name, value)
    data.add_field("image", io.BytesIO(b"x" * LARGE), filename="a.jpg")
    return data


async def files(api: ApiServer) -> list[str]:
    folder = api.settings.data_dir / "spool"
    return await asyncio.to_thread(lambda: [path.name for path in folder.iterdir()] if folder.is_dir() else [])


async def status(client: Client, path: str, **how: Any) -> int:
    async with client.post(path, **how) as answer:
        await answer.read()
        return answer.status


async def a_full_queue(api: ApiServer, client: Client) -> int:
    waiting = asyncio.ensure_future(status(client, "/v1/demo/long"))
    await eventually(lambda: len(api.broker._queue("demo_queue")) == 1)
    got = await status(client, "/v1/demo/quick", data=form())
    await waiting
    return got


async def a_stopped_module(api: ApiServer, client: Client) -> int:
    api.dispatcher.close_queue("demo_queue", ModuleUnavailableError("Demo", "it is stopped"))
    return await status(client, "/v1/demo/quick", data=form())


async def a_server_that_ends(api: ApiServer, client: Client) -> int:
    api.dispatcher.accepting = False
    return await status(client, "/v1/demo/quick", data=form())


async def a_log_entry(api: ApiServer, client: Client) -> int:
    return await status(client, "/v1/log", data=form(entry="x"))


async def a_poll(api: ApiServer, client: Client) -> int:
    return await status(client, "/v1/Demo/get_command_status", data=form(commandId="x"))


async def a_part_that_cannot_be_read(api: ApiServer, client: Client) -> int:
    body = HEAD + b"\r\n--xx\r\nno colon here\r\n\r\n1\r\n--xx--\r\n"
    return await status(client, "/v1/demo/quick", data=io.BytesIO(body), headers=MULTIPART)


async def a_form_that_is_cut_off(api: ApiServer, client: Client) -> int:
    return await status(client, "/v1/demo/quick", data=io.BytesIO(HEAD), headers=MULTIPART)


async def a_second_file_that_is_too_large(api: ApiServer, client: Client) -> int:
    data = form()
    data.add_field("image", io.BytesIO(b"x" * 3_000_000), filename="b.jpg")
    return await status(client, "/v1/demo/quick", data=data, chunked=True)


async def packed_and_damaged(api: ApiServer, client: Client) -> int:
    packed = gzip.compress(HEAD + b"\r\n--xx--\r\n")[:-8] + b"12345678"
    return await status(client, "/v1/demo/quick", data=packed, headers={**MULTIPART, "Content-Encoding": "gzip"})


async def a_client_that_leaves_while_it_sends(api: ApiServer, client: Client) -> int:
    host, port = client.server.host, client.server.port
    reader, writer = await asyncio.open_connection(host, port)
    head = b"POST /v1/demo/quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n"
    writer.write(head + b"Content-Type: multipart/form-data; boundary=xx\r\n\r\n" + HEAD)
    await eventually(lambda: api.blobs.used_bytes > 0)
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    return 0


async def a_client_that_leaves_while_it_waits(api: ApiServer, client: Client) -> int:
    waiting = asyncio.ensure_future(status(client, "/v1/demo/quick", data=form()))
    await eventually(lambda: len(api.broker._queue("demo_queue")) == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return 0


async def no_answer_in_time(api: ApiServer, client: Client) -> int:
    return await status(client, "/v1/demo/quick", data=form())


REFUSED: list[tuple[Refused, int]] = [
    (a_full_queue, 200),
    (a_stopped_module, 200),
    (a_server_that_ends, 200),
    (a_log_entry, 413),
    (a_poll, 200),
    (a_part_that_cannot_be_read, 400),
    (a_form_that_is_cut_off, 400),
    (a_second_file_that_is_too_large, 413),
    (packed_and_damaged, 400),
    (a_client_that_leaves_while_it_sends, 0),
    (a_client_that_leaves_while_it_waits, 0),
    (no_answer_in_time, 200),
]


@pytest.mark.parametrize(("refused", "expected"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_was_not_accepted_leaves_nothing(api: Api, refused: Refused, expected: int) -> None:
    server, client = api
    assert await refused(server, client) == expected
    await eventually(lambda: server.blobs.used_bytes == 0)
    assert await files(server) == []


async def test_a_file_lives_as_long_as_its_command(api: Api) -> None:
    server, client = api
    asking = asyncio.ensure_future(status(client, "/v1/demo/long", data=form()))
    claim = await server.claim()
    assert [file.size for file in claim.payload.files] == [LARGE]
    assert await files(server) == [Path(claim.payload.files[0].path or "").name]
    await server.finish(claim)
    assert await asking == 200
    assert (await files(server), server.blobs.used_bytes) == ([], 0)


async def test_all_files_together_take_no_more_than_they_may(api: Api) -> None:
    server, client = api
    waiting = [asyncio.ensure_future(status(client, "/v1/demo/long", data=form()))]
    claims = [await server.claim(4, 4)]
    for _ in range(2):
        waiting.append(asyncio.ensure_future(status(client, "/v1/demo/long", data=form())))
        claims.append(await server.claim(4, 4))
    async with client.post("/v1/demo/quick", data=form()) as answer:
        assert answer.status == 507
        assert "max_uploads_bytes" in (await answer.json())["error"]
    assert len(await files(server)) == 3
    for claim in claims:
        await server.finish(claim)
    await asyncio.gather(*waiting)
    async with server.answering(lambda payload: {"size": payload.files[0].size}):
        assert await status(client, "/v1/demo/quick", data=form()) == 200


async def test_what_nobody_owns_is_deleted_at_the_start(tmp_path: Path) -> None:
    kept, left = tmp_path / "kept", tmp_path / "left"
    for path in (kept, left):
        await asyncio.to_thread(path.write_bytes, b"12345")
    blobs = BlobFolder(tmp_path)
    await blobs.expire({str(kept)})
    assert (kept.exists(), left.exists(), blobs.used_bytes) == (True, False, 5)
    assert b"".join([piece async for piece in blobs.open(str(kept), 2)]) == b"12345"
    await blobs.delete([str(kept), str(left)])
    assert blobs.used_bytes == 0
    with pytest.raises(BlobError, match="cannot be read"):
        await blobs.open(str(kept), 2).__anext__()


async def test_a_blob_whose_stream_is_cancelled_is_deleted(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.ensure_future(blobs.put(endless()))
    await begun.wait()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    assert (await asyncio.to_thread(lambda: list(tmp_path.iterdir())), blobs.used_bytes) == ([], 0)
