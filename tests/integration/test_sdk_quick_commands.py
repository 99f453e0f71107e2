"""Quick commands through a real module process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from codeproject_ai_sdk.protocol import (
    Cancel,
    Command,
    FileHeader,
    Heartbeat,
    Log,
    NamedValue,
    Quit,
    Ready,
    Result,
    Status,
)

from tests.support.sdk_server import served_module


async def test_a_module_says_hello_and_answers() -> None:
    async with served_module("quick") as (server, process):
        [hello] = server.hellos
        assert (hello.module_id, hello.launch_id, hello.secret) == ("Test_quick", "launch-1", "a secret")
        assert hello.pid == process.process.pid
        assert await server.find(Ready) == Ready(3, 3)
        answer = await server.call("id-1", "echo", text="h\u00e9llo")
        assert answer == {
            "success": True,
            "text": "h\u00e9llo",
            "segments": [],
            "files": [],
            "sizes": [],
            "moduleId": "Test_quick",
            "moduleName": "Test quick",
            "code": 200,
            "command": "echo",
            "requestId": "id-1",
            "inferenceDevice": "CPU",
        }
        await server.find(Heartbeat)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("fail", "No face found in image"),
        ("raise", "ValueError: a bad value"),
        ("exit", "SystemExit: 3"),
        ("nothing", "process() returned nothing"),
        ("list", "process() returned a value of type list"),
        ("without_success", "without 'success'"),
        ("unserialisable", "cannot be written as JSON"),
        ("no_such_command", "AttributeError"),
    ],
)
async def test_every_failure_is_an_answer_and_the_module_goes_on(command: str, error: str) -> None:
    async with served_module("quick") as (server, _):
        answer = await server.call("id-1", command)
        assert answer["success"] is False
        assert error in answer["error"]
        assert answer["code"] == 500
        assert (await server.call("id-2", "echo"))["success"] is True


async def test_the_traceback_of_a_failure_is_logged() -> None:
    async with served_module("quick") as (server, _):
        await server.call("id-1", "raise")
        entry = await server.find(Log, lambda entry: "Traceback" in entry.entry)
        assert entry.level == "error"
        assert "do_raise" in entry.entry


async def test_files_come_inline_and_by_path(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024)
    path = tmp_path / "upload"
    path.write_bytes(content)
    headers = [
        FileHeader("image", "small.jpg", "image/jpeg", 3, None),
        FileHeader("image2", "large.jpg", None, len(content), str(path)),
        FileHeader("image3", "empty", None, 0, None),
    ]
    async with served_module("quick") as (server, _):
        answer = await server.upload("id-1", headers, b"abc", b"")
        assert answer["files"] == [b"abc".hex(), content[:32].hex(), ""]
        assert answer["sizes"] == [3, len(content), 0]
        assert answer["segments"] == ["a", "b"]


async def test_large_inline_files_arrive_whole() -> None:
    content = os.urandom(20 * 1024 * 1024)
    async with served_module("quick") as (server, _):
        answer = await server.upload("id-1", [FileHeader("f", "f", None, len(content), None)], content)
        assert answer["sizes"] == [len(content)]
        assert answer["files"] == [content[:32].hex()]


async def test_as_many_at_once_as_the_parallelism() -> None:
    async with served_module("quick") as (server, _):
        for index in range(4):
            await server.command(f"sleep-{index}", "sleep", seconds="600")
        await server.command("echo", "echo")
        # The three slots are taken: neither the fourth nor the echo behind it can have begun.
        await server.find(Status)
        status = await server.call("probe", "get_command_status")
        assert status["error"] == "No command ID provided"
        assert not [
            message for message in server.messages if isinstance(message, Result) and message.command_id == "echo"
        ]
        await server.send(Cancel("sleep-3"))
        cancelled = await server.answer("sleep-3")
        assert cancelled["stop_reason"] == "cancelled"
        assert cancelled["success"] is False
        await server.send(Cancel("sleep-0"))
        assert (await server.answer("sleep-0"))["cancelled"] is True
        assert (await server.answer("echo"))["success"] is True


async def test_the_readiness_probe_is_answered_while_all_slots_are_busy() -> None:
    async with served_module("quick", CPAI_MODULE_PARALLELISM="1") as (server, _):
        await server.command("busy", "sleep", seconds="600")
        answer = await server.call("probe", "get_command_status")
        assert answer["success"] is False
        assert answer["commandStatus"] == "unknown"
        assert answer["requestId"] == "probe"


@pytest.mark.parametrize("command", ["status", "get_module_status", "Status"])
async def test_the_status_command(command: str) -> None:
    async with served_module("quick") as (server, _):
        await server.call("id-1", "echo")
        answer = await server.call("id-2", command)
        assert (answer["success"], answer["models"], answer["canUseGPU"]) == (True, 2, False)


async def test_the_selftest_command() -> None:
    async with served_module("quick") as (server, _):
        assert (await server.call("id-1", "selftest"))["success"] is True


async def test_the_status_is_sent_with_real_types() -> None:
    async with served_module("quick") as (server, _):
        await server.call("id-1", "echo")
        await server.call("id-2", "fail")
        message = await server.find(Status, lambda status: b'"failedInferences":1' in bytes(status.data))
        status = json.loads(bytes(message.data))
        assert status["canUseGPU"] is False
        assert (status["successfulInferences"], status["numInferences"], status["models"]) == (1, 2, 2)
        assert status["inferenceDevice"] == "CPU"


async def test_log_entries_reach_the_server() -> None:
    async with served_module("quick") as (server, process):
        await server.call("id-1", "log")
        entry = await server.find(Log, lambda entry: entry.entry == "hello log")
        assert (entry.level, entry.category, entry.label) == ("information", "Test quick", "x")
        assert "hello log" not in process.output()


async def test_the_first_of_several_values_counts() -> None:
    async with served_module("quick") as (server, _):
        await server.send(Command("id-1", "echo", [NamedValue("text", ["one", "two"])], [], []))
        assert (await server.answer("id-1"))["text"] == "one"


async def test_quit_cleans_up_once_and_ends_with_zero() -> None:
    async with served_module("quick") as (server, process):
        await server.send(Quit())
        assert await process.exit_code() == 0
        assert process.output().count("cleaned up") == 1
