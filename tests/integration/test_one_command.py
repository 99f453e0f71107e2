"""One command that cannot be handed over harms no other, over both protocols, and not at the next start either."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import diskcache
import pytest

from server.brokers.local import LocalBroker
from server.commands.command import Command, Payload, UploadedFile, new_command_id
from tests.support.hosting_modules import ECHO, write_module
from tests.support.server_process import ServerProcess

POLLING = 'import os\n\nos.environ.pop("MILLRACE_CHANNEL_URL")\n'
"""Without it our SDK speaks the queue protocol."""
ROUTES = [{"Route": "test/echo", "Command": "echo"}]
ODD = (
    b'--XX\r\nContent-Disposition: form-data; name="im\xe4ge"; filename="gr\xf6\xdfe.jpg"\r\n'
    b"Content-Type: im\xe4ge/jpeg\r\n\r\n1\r\n--XX--\r\n"
)


def write(folder: Path, code: str) -> Path:
    write_module(folder / "modules", "Echo", code, RouteMaps=ROUTES)
    return folder / "modules"


async def store(data: Path, name: str) -> str:
    """Leave a long command that waits, as an earlier version may have accepted it."""
    broker = LocalBroker(data / "records", data / "uploads")
    await broker.open()
    command = Command(
        command_id=new_command_id(), module_id="Echo", queue="echo_queue", name="echo", owner="anonymous", long=True
    )
    await broker.submit(command, Payload([], [UploadedFile("image", name, None, 1, b"1")]), 10)
    await broker.close()
    return command.command_id


@pytest.mark.parametrize("code", [ECHO, POLLING + ECHO], ids=["channel", "queue protocol"])
def test_an_upload_with_odd_header_bytes_is_served_like_any_other(tmp_path: Path, code: str) -> None:
    with ServerProcess(tmp_path, write(tmp_path, code), MILLRACE_DRAIN="0") as server:
        server.wait_ready("Echo")
        form = {"Content-Type": "multipart/form-data; boundary=XX"}
        for _ in range(2):
            status, body, _ = server.call("/v1/test/echo", ODD, form)
            assert (status, b'"success":true' in body) == (200, True)
            assert server.post("/v1/test/echo")["success"] is True
            server.stop()
            server.start()
            server.wait_ready("Echo")


@pytest.mark.parametrize("code", [ECHO, POLLING + ECHO], ids=["channel", "queue protocol"])
def test_a_stored_command_that_cannot_be_sent_fails_alone(tmp_path: Path, code: str) -> None:
    bad = asyncio.run(store(tmp_path / "data", "gr\udcf6\udcdfe.jpg"))
    good = asyncio.run(store(tmp_path / "data", "größe.jpg"))
    with ServerProcess(tmp_path, write(tmp_path, code), MILLRACE_DRAIN="0") as server:
        server.wait_ready("Echo")
        assert server.wait_ended("Echo", good)["success"] is True
        body = server.wait_ended("Echo", bad)
        assert (body["success"], body["reason"]) == (False, "module_error")
        assert "cannot be sent to the module" in body["error"]
        started = server.module("Echo")["started"]
        assert server.post("/v1/test/echo")["success"] is True
        assert server.module("Echo")["started"] == started
        server.stop()
        server.start()
        server.wait_ready("Echo")
        assert server.poll("Echo", bad)["error"] == body["error"]


def damage(records: Path, command_id: str) -> None:
    """Make a stored payload one that no version of ours would write."""
    with diskcache.Cache(str(records), disk=diskcache.JSONDisk, eviction_policy="none", cull_limit=0) as cache:
        payload: dict[str, Any] = cache[f"payload:{command_id}"]
        payload["files"][0]["content_type"] = 5
        cache[f"payload:{command_id}"] = payload


def test_a_damaged_row_is_set_aside_and_named(tmp_path: Path) -> None:
    bad = asyncio.run(store(tmp_path / "data", "a.jpg"))
    good = asyncio.run(store(tmp_path / "data", "b.jpg"))
    damage(tmp_path / "data" / "records", bad)
    with ServerProcess(tmp_path, write(tmp_path, ECHO)) as server:
        server.wait_ready("Echo")
        assert server.wait_ended("Echo", good)["success"] is True
        assert server.call(f"/v1/commands/{bad}")[0] == 404
        entries = server.get("/v1/log/list?count=5000")["entries"]
        assert any(f"command:{bad}" in entry["entry"] and "set aside" in entry["entry"] for entry in entries)
        server.stop()
        server.start()
        assert not any(bad in line for line in server.output)
