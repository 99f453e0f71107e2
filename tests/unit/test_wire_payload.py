"""A request reaches a module of the published SDK as the JSON object that it expects, whatever its files weigh."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.commands.command import Command, Payload, UploadedFile
from server.commands.workers import Worker
from server.links.wire_payload import wire_payload
from tests.support.api_server import ApiServer, Client, running_api

SECRET = {"X-Module-Secret": "secret"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Client]]:
    async with running_api(tmp_path) as (server, client):
        server.workers.remove(server.worker.worker_id)
        server.workers.add(
            Worker(worker_id="launch", module_id="Demo", queue="demo_queue", parallelism=2, secret="secret")
        )
        yield server, client


async def handed_over(client: Client) -> tuple[int, bytes, Any]:
    async with client.get("/v1/queue/demo_queue", params={"moduleId": "Demo"}, headers=SECRET) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1_048_576, 1_048_577, 3_000_001])
async def test_the_object_is_whole_byte_for_byte(api: tuple[ApiServer, Client], size: int) -> None:
    data = os.urandom(size)
    form = aiohttp.FormData()
    form.add_field("prompt", "Grüße \u2028" * 20_000)
    form.add_field("image", io.BytesIO(data), filename="a.jpg", content_type="image/jpeg")
    form.add_field("small", b"abc", filename="b.jpg")
    asking = asyncio.ensure_future(api[1].post("/v1/demo/custom/x/y", data=form))
    status, body, headers = await handed_over(api[1])
    command_id = msgspec.json.decode(body)["reqid"]
    expected = {
        "reqid": command_id,
        "reqtype": "quick",
        "payload": {
            "command": "quick",
            "values": [{"key": "prompt", "value": ["Grüße \u2028" * 20_000]}],
            "files": [
                {
                    "name": "image",
                    "filename": "a.jpg",
                    "contentType": "image/jpeg",
                    "data": base64.b64encode(data).decode(),
                },
                {
                    "name": "small",
                    "filename": "b.jpg",
                    "contentType": "application/octet-stream",
                    "data": base64.b64encode(b"abc").decode(),
                },
            ],
            "urlSegments": ["x", "y"],
        },
    }
    assert (status, headers["Content-Type"], headers["Content-Length"]) == (200, "application/json", str(len(body)))
    assert body == msgspec.json.encode(expected) + b"\n"
    async with api[1].post(f"/v1/queue/{command_id}", json={"success": True}, headers=SECRET) as answer:
        assert answer.status == 200
    (await asking).close()


async def test_a_file_that_is_gone_fails_its_command_alone(api: tuple[ApiServer, Client]) -> None:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(b"x" * 2_000_000), filename="a.jpg")
    server, client = api
    folder = server.settings.data_dir / "spool"
    async with client.post("/v1/demo/long", data=form) as answer:
        assert (await answer.json())["state"] == "queued"
    await asyncio.to_thread(shutil.rmtree, folder)
    assert (await handed_over(client))[0] == 204
    (command,) = await server.broker.records()
    assert "cannot be read: No such file" in (command.error or "")


async def test_no_piece_of_a_large_file_is_large(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000_000

    blob = await blobs.put(pieces())
    file = UploadedFile("image", "a.jpg", None, blob.size, None, blob.reference)
    command = Command(command_id="c", module_id="Demo", queue="q", name="quick", owner="o")
    wire = await wire_payload(command, Payload([], [file]), blobs)
    sizes = [len(piece) for part in wire.parts async for piece in wire.pieces(part)]
    assert max(sizes) <= 4 * 64 * 1024
    assert sum(sizes) > 4 * 20_000_000 // 3
