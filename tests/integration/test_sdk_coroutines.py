"""Modules written with ``async``."""

from __future__ import annotations

from codeproject_ai_sdk.protocol import Cancel, Events, Heartbeat, Quit

from tests.support.sdk_server import served_module


async def test_all_coroutines_share_one_loop() -> None:
    async with served_module("coroutines") as (server, _):
        assert (await server.call("id-1", "quick"))["same_loop"] is True


async def test_a_coroutine_that_ignores_a_cancel_is_cancelled() -> None:
    async with served_module("coroutines") as (server, _):
        await server.command("id-1", "long")
        await server.find(Events)
        await server.send(Cancel("id-1"))
        answer = await server.answer("id-1")
        assert (answer["success"], answer["stop_reason"]) == (True, "cancelled")
        assert server.text_of("id-1") == "waiting"


async def test_a_blocking_coroutine_does_not_block_the_channel() -> None:
    async with served_module("coroutines") as (server, _):
        await server.command("id-1", "block", seconds="600")
        answer = await server.call("probe", "get_command_status")
        assert answer["commandStatus"] == "unknown"
        beats = sum(isinstance(message, Heartbeat) for message in server.messages)
        await server.until(lambda: sum(isinstance(m, Heartbeat) for m in server.messages) > beats)


async def test_an_async_cleanup_is_awaited() -> None:
    async with served_module("coroutines") as (server, process):
        await server.send(Quit())
        assert await process.exit_code() == 0
        assert process.output().count("cleaned up") == 1
