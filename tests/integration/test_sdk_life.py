"""How a module process starts, fails and ends."""

from __future__ import annotations

import signal
import sys
import time

import pytest
from codeproject_ai_sdk.protocol import Cancel, Heartbeat, Log, Quit, Ready, Refused, Result, Started, Status

from tests.support.sdk_server import ChannelServer, channel_of, channel_server, module, served_module

EXIT_SECONDS = 5.0


@pytest.mark.parametrize(
    ("way", "reason"),
    [("initialise raises", "RuntimeError: no model here"), ("initialise exits", "SystemExit: giving up")],
)
async def test_a_failing_initialise_ends_the_process_with_the_reason(way: str, reason: str) -> None:
    async with channel_server() as server, module("misbehaving", MISBEHAVIOUR=way, **channel_of(server)) as process:
        assert await process.exit_code() == 1
        assert reason in process.output()
        entry = await server.find(Log, lambda entry: entry.level == "critical")
        assert entry.entry == f"initialise() failed: {reason}"
        traceback = await server.find(Log, lambda entry: "Traceback" in entry.entry)
        assert (traceback.level, reason in traceback.entry) == ("error", True)
        assert not [message for message in server.messages if isinstance(message, Ready)]
        assert "cleaned up" not in process.output()


async def test_a_refused_module_exits_with_two() -> None:
    async with channel_server() as server:
        server.greet = lambda _: Refused("not one of mine")
        async with module("quick", **channel_of(server)) as process:
            assert await process.exit_code() == 2
            assert "not one of mine" in process.output()


async def test_garbage_on_the_console_does_no_harm() -> None:
    async with served_module("misbehaving", MISBEHAVIOUR="prints garbage") as (server, _):
        assert (await server.call("id-1", "anything"))["success"] is True


async def test_a_failing_module_status_shows_and_the_module_goes_on() -> None:
    async with served_module("misbehaving", MISBEHAVIOUR="status raises") as (server, _):
        await server.find(Status, lambda status: b"no status today" in bytes(status.data))
        await server.find(Log, lambda entry: "no status today" in entry.entry)
        assert (await server.call("id-1", "anything"))["success"] is True
        answer = await server.call("id-2", "status")
        assert (answer["success"], "no status today" in answer["statusError"]) == (True, True)


async def test_a_hanging_module_status_stops_neither_heartbeats_nor_answers() -> None:
    async with served_module("misbehaving", MISBEHAVIOUR="status hangs") as (server, _):
        assert (await server.call("id-1", "anything"))["success"] is True
        await server.until(lambda: sum(isinstance(message, Heartbeat) for message in server.messages) >= 2)


@pytest.mark.parametrize(
    "way", ["", "threads hang", "cleanup hangs", "cleanup raises", "status hangs"], ids=lambda way: way or "well"
)
async def test_quit_takes_less_than_five_seconds_whatever_hangs(way: str) -> None:
    async with served_module("misbehaving", MISBEHAVIOUR=way) as (server, process):
        await server.command("id-1", "hang")
        await server.call("id-2", "anything")
        began = time.monotonic()
        await server.send(Quit())
        assert await process.exit_code() == 0
        assert time.monotonic() - began < EXIT_SECONDS
        assert process.output().count("cleaned up") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_like_a_quit(number: signal.Signals) -> None:
    async with served_module("quick") as (server, process):
        await server.call("id-1", "echo")
        process.process.send_signal(number)
        process.process.send_signal(number)
        assert await process.exit_code() == 0
        assert process.output().count("cleaned up") == 1


async def test_a_long_command_learns_of_the_quit() -> None:
    async with served_module("long") as (server, process):
        await server.command("id-1", "go", count="1000000")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Quit())
        assert (await server.answer("id-1"))["stop_reason"] == "cancelled"
        assert await process.exit_code() == 0


async def test_what_a_quit_cuts_short_is_marked_as_unfinished() -> None:
    async with served_module("long", CPAI_MODULE_PARALLELISM="1") as (server, process):
        await server.command("id-1", "go", count="1000000")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.command("id-2", "go", count="1000000")  # waits for the first
        await server.find(Started, lambda started: started.command_id == "id-2")
        await server.send(Quit())
        assert await process.exit_code() == 0
        results = [message for message in server.messages if isinstance(message, Result)]
        assert sorted((result.command_id, result.unfinished) for result in results) == [("id-1", True), ("id-2", True)]


async def test_what_ends_by_itself_after_a_quit_is_whole() -> None:
    async with served_module("long") as (server, process):
        await server.command("id-1", "deaf", pause="0.3")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Quit())
        result = await server.find(Result)
        assert (result.unfinished, server.text_of("id-1")) == (False, "begun ended ")
        assert await process.exit_code() == 0


async def test_what_ends_because_of_the_cleanup_is_unfinished() -> None:
    async with served_module("long") as (server, process):
        await server.command("id-1", "until cleanup")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Quit())
        assert (await server.find(Result)).unfinished is True
        assert await process.exit_code() == 0


async def test_what_was_cancelled_before_the_quit_is_no_unfinished_one() -> None:
    async with served_module("long") as (server, _):
        await server.command("id-1", "go", count="1000000")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Cancel("id-1"))
        await server.send(Quit())
        assert (await server.find(Result)).unfinished is False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
async def test_a_signal_cuts_short_like_a_quit() -> None:
    async with served_module("old_style") as (server, process):
        await server.command("id-1", "go", count="1000", polite="true")
        await server.until(lambda: server.text_of("id-1") != "")
        process.process.send_signal(signal.SIGTERM)
        assert (await server.find(Result)).unfinished is True


async def test_a_module_without_a_server_leaves_after_a_while() -> None:
    async with served_module("quick", MILLRACE_ORPHAN_SECONDS="1") as (server, process):
        await server.stop()
        assert await process.exit_code() == 0
        assert process.output().count("cleaned up") == 1


async def test_a_module_that_never_finds_a_server_leaves_too() -> None:
    server = ChannelServer()
    await server.start()
    await server.stop()
    async with module("quick", MILLRACE_ORPHAN_SECONDS="0.5", **channel_of(server)) as process:
        assert await process.exit_code() == 0


@pytest.mark.parametrize(
    ("script", "way", "code"), [("quick", "", 0), ("misbehaving", "initialise raises", 1), ("coroutines", "", 0)]
)
async def test_the_selftest_flag_needs_no_server(script: str, way: str, code: int) -> None:
    async with module(script, "--selftest", MISBEHAVIOUR=way) as process:
        assert await process.exit_code() == code
        assert "Self-test" in process.output()
