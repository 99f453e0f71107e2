"""Modules that use ``command_status()`` and ``cancel_command_task()`` instead of ``data.reply``."""

from __future__ import annotations

from codeproject_ai_sdk.protocol import Cancel, Ready, Result, Started

from tests.support.sdk_server import served_module


async def test_progress_reaches_the_server_as_events() -> None:
    async with served_module("old_style") as (server, _):
        assert await server.find(Ready) == Ready(3, 1)
        await server.command("id-1", "go", count="20")
        await server.until(lambda: server.text_of("id-1") != "" and "step" in server.fields_of("id-1"))
        answer = await server.answer("id-1")
        assert answer["stop_reason"] == "completed"
        assert server.text_of("id-1") == answer["reply"] == "".join(f"w{step} " for step in range(1, 21))


async def test_a_short_one_still_shows_its_whole_text() -> None:
    async with served_module("old_style") as (server, _):
        answer = await server.call("id-1", "go", count="1")
        assert server.text_of("id-1") == answer["reply"] == "w1 "


async def test_a_polite_cancel_lets_the_long_process_end_itself() -> None:
    async with served_module("old_style") as (server, _):
        await server.command("id-1", "go", count="1000000", polite="true")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Cancel("id-1"))
        answer = await server.answer("id-1")
        assert (answer["stop_reason"], answer["polite"]) == ("cancelled", True)
        assert server.text_of("id-1") == answer["reply"]


async def test_a_forced_cancel_ends_the_command_at_once_and_frees_its_place() -> None:
    async with served_module("old_style") as (server, _):
        await server.command("id-1", "go", count="1000000")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.send(Cancel("id-1"))
        answer = await server.answer("id-1")
        assert (answer["success"], answer["stop_reason"]) == (True, "cancelled")
        assert (await server.call("id-2", "go", count="2"))["reply"].endswith("w2 ")


async def test_one_at_a_time() -> None:
    async with served_module("old_style") as (server, _):
        await server.command("id-1", "go", count="10")
        await server.until(lambda: Started("id-1", "CPU") in server.messages)
        await server.command("id-2", "go", count="1")
        await server.answer("id-2")
        results = [message.command_id for message in server.messages if isinstance(message, Result)]
        assert results == ["id-1", "id-2"]
