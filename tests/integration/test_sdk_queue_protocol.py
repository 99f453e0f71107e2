"""A module under a server that only knows the queue protocol, or started by hand."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from tests.support.sdk_queue_server import QueueServer, queue_server
from tests.support.sdk_server import ModuleProcess, module


@contextlib.asynccontextmanager
async def polling(script: str, parallelism: int = 2) -> AsyncIterator[tuple[QueueServer, ModuleProcess]]:
    async with queue_server() as server:
        settings = {"CPAI_PORT": str(server.port), "CPAI_MODULE_PARALLELISM": str(parallelism)}
        async with module(script, **settings) as process:
            await server.until(lambda: len(server.polls) >= parallelism)
            yield server, process


async def test_a_request_is_answered() -> None:
    async with polling("quick") as (server, _):
        server.put_files("id-1", "echo", [{"name": "f", "data": base64.b64encode(b"abc").decode()}], text="hi")
        answer = await server.answer("id-1")
        assert (answer["success"], answer["text"], answer["sizes"]) == (True, "hi", [3])
        assert (answer["requestId"], answer["code"], answer["command"]) == ("id-1", 200, "echo")
        assert server.polls[0] == "test_quick_queue Test_quick"


async def test_failures_are_answers_too() -> None:
    async with polling("quick") as (server, _):
        for command in ("raise", "nothing", "without_success", "unserialisable"):
            answer = await server.call(command, command)
            assert (answer["success"], answer["requestId"]) == (False, command)


async def test_status_and_log_are_posted() -> None:
    async with polling("quick") as (server, _):
        await server.call("id-1", "log")
        await server.until(lambda: bool(server.statuses) and bool(server.logs))
        assert server.statuses[0]["canUseGPU"] is False
        assert server.statuses[0]["models"] == 2
        [entry] = [entry for entry in server.logs if entry["entry"] == "hello log"]
        assert (entry["category"], entry["label"], entry["log_level"]) == ("Test quick", "x", "information")


async def test_a_long_command_is_polled_cancelled_and_still_readable() -> None:
    async with polling("long") as (server, _):
        started = await server.call("id-1", "go", count="1000000")
        assert (started["commandId"], started["commandStatus"], started["success"]) == ("id-1", "running", True)
        status, text, polls = started, "", 0
        while "w10 " not in text:
            polls += 1
            status = await server.call(f"poll-{polls}", "get_command_status", commandId="id-1")
            assert (status["commandStatus"], status["commandId"]) == ("running", "id-1")
            assert status.get("reply", "").startswith(text)
            text = status.get("reply", "")
        assert status["step"] >= 5
        cancelled = await server.call("cancel", "cancel_command", commandId="id-1")
        assert (cancelled["success"], cancelled["commandStatus"]) == (True, "cancelled")
        while status["commandStatus"] == "running":
            polls += 1
            status = await server.call(f"poll-{polls}", "get_command_status", commandId="id-1")
        assert (status["commandStatus"], status["stop_reason"], status["error"]) == ("completed", "cancelled", None)
        assert status["reply"].startswith(text)
        again = await server.call("again", "get_command_status", commandId="id-1")
        assert again["reply"] == status["reply"]


async def test_the_known_texts_for_wrong_ids() -> None:
    async with polling("long") as (server, _):
        for command in ("get_command_status", "cancel_command"):
            answer = await server.call(f"{command} 1", command)
            assert (answer["success"], answer["error"]) == (False, "No command ID provided")
            answer = await server.call(f"{command} 2", command, commandId="x")
            assert answer["error"] == "No long running command is currently in progress"
        await server.call("id-1", "none")
        answer = await server.call("poll", "get_command_status", commandId="x")
        assert answer["error"] == "The command ID provided does not match the current long running command"
        assert answer["commandStatus"] == "unknown"


async def test_a_failed_long_command_tells_why() -> None:
    async with polling("long") as (server, _):
        await server.call("id-1", "broken")
        polls = 0
        status = await server.call("poll", "get_command_status", commandId="id-1")
        while status["commandStatus"] == "running":
            polls += 1
            status = await server.call(f"poll-{polls}", "get_command_status", commandId="id-1")
        assert (status["success"], status["error"], status["reply"]) == (False, "the model fell over", "so far ")


async def test_odd_poll_answers_do_not_make_it_deaf() -> None:
    async with queue_server() as server:
        server.idle = [
            web.Response(status=204),
            web.Response(text="null"),
            web.Response(status=500),
            web.Response(text="<html>"),
            web.json_response([]),
            web.json_response({"reqid": ""}),
        ]
        async with module("quick", CPAI_PORT=str(server.port), CPAI_MODULE_PARALLELISM="1"):
            assert (await server.call("id-1", "echo"))["success"] is True
            assert server.idle == []


async def test_quit_with_its_own_id_ends_it() -> None:
    async with polling("quick") as (server, process):
        server.put("other", "Quit", moduleId="somebody else")
        server.put("mine", "Quit", moduleId="TEST_QUICK")
        assert await process.exit_code() == 0
        assert process.output().count("cleaned up") == 1


async def test_what_a_quit_cuts_short_is_no_success() -> None:
    """This protocol has no other way to say so."""
    async with polling("quick") as (server, process):
        server.put("id-1", "sleep", seconds="600")
        server.put("quit", "Quit", moduleId="TEST_QUICK")
        answer = await server.answer("id-1")
        assert (answer["success"], answer["code"], answer["cancelled"]) == (False, 500, True)
        assert answer["error"] == "The module was stopped before this was finished. Send it again."
        assert await process.exit_code() == 0


async def test_a_server_that_is_gone_does_not_end_a_module_started_by_hand() -> None:
    async with polling("quick", parallelism=1) as (server, process):
        await server.stop()
        back = QueueServer()
        await back.start(server.port)
        try:
            assert (await back.call("id-1", "echo"))["success"] is True
            assert process.process.returncode is None
        finally:
            await back.stop()


async def test_a_module_may_call_the_server() -> None:
    async with polling("calling") as (server, _):
        answer = await server.call("id-1", "call")
        assert answer["echo"] == {"min_confidence": "0.4", "image": "bytes"}
        assert answer["missing"] == ""
