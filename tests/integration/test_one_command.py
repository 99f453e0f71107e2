"""One command that cannot be handed over harms no other, over both protocols, and not at the next start either."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import diskcache
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import Command, Payload, UploadedFile, new_command_id
from tests.support.hosting_modules import ECHO, write_module
from tests.support.server_process import ROOT, ServerProcess

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
    broker = LocalBroker(data / "records", BlobFolder(data / "uploads"))
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
        assert any(bad in entry["entry"] and "set aside" in entry["entry"] for entry in entries)
        server.stop()
        server.start()
        assert not any(bad in line for line in server.output)


DEEP = f"""
import sys

sys.path.insert(0, {str(ROOT / "tests" / "modules_bad" / "_raw")!r})

import raw_channel


async def answer(channel, command):
    if not raw_channel.value(command, "deep"):
        await channel.result(command["command_id"], 1, answer="flat")
        return
    deep = '{{"a":' * 100000 + "1" + "}}" * 100000
    head = '{{"type":"result","n":1,"success":true,"command_id":"' + command["command_id"]
    await channel.socket.send_str(head + '","output":' + deep + "}}")


if __name__ == "__main__":
    raw_channel.run(answer)
"""


def test_an_answer_that_is_nested_too_deeply_fails_alone(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Deep", DEEP, RouteMaps=[{"Route": "test/deep", "Command": "deep"}])
    with ServerProcess(tmp_path, tmp_path / "modules", MILLRACE_DRAIN="0") as server:
        server.wait_ready("Deep")
        assert server.post("/v1/test/deep")["answer"] == "flat"
        body = server.post("/v1/test/deep", deep="yes")
        assert (body["success"], body["reason"]) == (False, "poison")
        server.wait_ready("Deep")
        assert server.post("/v1/test/deep")["answer"] == "flat"


@pytest.mark.skipif(sys.platform != "linux", reason="only there may file names be any bytes")
def test_module_folders_and_settings_with_odd_bytes_harm_no_other_module(tmp_path: Path) -> None:
    modules = write(tmp_path, ECHO)
    broken, odd = (os.fsencode(modules) + name for name in (b"/gr\xf6\xdfe", b"/gr\xf6"))
    for folder in (broken, odd):
        os.mkdir(folder)
    Path(os.fsdecode(broken), "modulesettings.json").write_text("{")
    shutil.copy(modules / "Echo" / "adapter.py", os.fsdecode(odd))
    launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System"}
    routes = [{"Route": "odd/\ud83d", "Command": "echo"}]
    values = {"Name": "Odd \ud83d", "Version": "1.0.0", "LaunchSettings": launch, "RouteMaps": routes}
    settings = json.dumps({"Modules": {"Odd": values}})
    Path(os.fsdecode(odd), "modulesettings.json").write_text(settings)
    with ServerProcess(tmp_path, modules) as server:
        for name in ("Echo", "Odd"):
            server.wait_ready(name)
        assert server.post("/v1/test/echo")["success"] is True
        assert server.module("gr\ufffd\ufffde")["state"] == "Failed"
        for path in ("/v1/module/list", "/v1/module/list/running", "/v1/log/list?count=100"):
            assert server.call(path)[0] == 200
