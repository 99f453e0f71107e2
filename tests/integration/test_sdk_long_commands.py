"""Long commands: each writes into its own reply, several at once."""

from __future__ import annotations

import asyncio

from codeproject_ai_sdk.protocol import Cancel, Events, Started

from tests.support.sdk_server import served_module


async def test_a_long_command_starts_streams_and_ends() -> None:
    async with served_module("long") as (server, _):
        answer = await server.call("id-1", "go", count="12")
        text = "".join(f"w{step} " for step in range(1, 13))
        assert (answer["reply"], answer["stop_reason"], answer["requestId"]) == (text, "completed", "id-1")
        assert server.text_of("id-1") == text
        assert server.fields_of("id-1") == {"step": 10}
        started = await server.find(Started)
        assert started == Started("id-1", "CPU")
        first = await server.find(Events)
        assert server.messages.index(started) < server.messages.index(first)


async def test_halves_of_surrogate_pairs_in_names_end_nothing() -> None:
    async with served_module("long") as (server, _):
        answer = await server.call("id-1", "odd")
        assert (answer["success"], answer["inferenceDevice"]) == (True, "GPU ?")
        assert server.fields_of("id-1") == {"na?me": 1}
        assert (await server.call("id-2", "go", count="1"))["reply"] == "w1 "
        assert len(server.hellos) == 1


async def test_the_text_travels_while_the_command_runs() -> None:
    async with served_module("long") as (server, _):
        await server.command("id-1", "go", count="1000000", pause="0.01")
        await server.until(lambda: "w20 " in server.text_of("id-1"))
        await server.send(Cancel("id-1"))
        answer = await server.answer("id-1")
        assert answer["reply"] == server.text_of("id-1")


async def test_several_at_once_each_with_its_own_reply() -> None:
    async with served_module("long") as (server, _):
        names = ("red", "green", "blue")
        for name in names:
            await server.command(name, "go", count="1000000", pause="0.005", name=name)
        await server.until(lambda: all(f"{name}5 " in server.text_of(name) for name in names))
        await server.send(Cancel("green"))
        green = await server.answer("green")
        assert green["stop_reason"] == "cancelled"
        before = {name: len(server.text_of(name)) for name in ("red", "blue")}
        await server.until(lambda: all(len(server.text_of(name)) > before[name] for name in before))
        for name in before:
            await server.send(Cancel(name))
        for name in names:
            answer = await server.answer(name)
            steps = answer["reply"].split()
            assert steps == [f"{name}{step}" for step in range(1, len(steps) + 1)]
            assert answer["reply"] == server.text_of(name)


async def test_more_than_the_slots_wait_and_run_in_order() -> None:
    async with served_module("long", CPAI_MODULE_PARALLELISM="1") as (server, _):
        await server.command("first", "go", count="1000000", pause="0.005")
        await server.command("second", "go", count="1", name="second")
        await server.command("third", "go", count="1", name="third")
        await server.find(Started, lambda started: started.command_id == "third")
        await server.until(lambda: "w5 " in server.text_of("first"))
        assert server.text_of("second") == ""
        await server.send(Cancel("second"))
        assert (await server.answer("second"))["stop_reason"] == "cancelled"
        await server.send(Cancel("first"))
        assert (await server.answer("third"))["reply"] == "third1 "
        assert server.text_of("second") == ""


async def test_quick_commands_are_answered_beside_a_long_one() -> None:
    async with served_module("long", CPAI_MODULE_PARALLELISM="1") as (server, _):
        await server.command("long", "go", count="1000000")
        await server.find(Events)
        assert (await server.call("status", "status"))["success"] is True


async def test_cancel_does_not_leak_into_the_next_command() -> None:
    async with served_module("long", CPAI_MODULE_PARALLELISM="1") as (server, _):
        await server.command("first", "go", count="1000000")
        await server.find(Events)
        for _ in range(3):
            await server.send(Cancel("first"))
        await server.answer("first")
        await server.send(Cancel("first"))
        await server.send(Cancel("never heard of"))
        assert (await server.call("second", "go", count="3"))["stop_reason"] == "completed"


async def test_nothing_returned_is_a_success() -> None:
    async with served_module("long") as (server, _):
        answer = await server.call("id-1", "none")
        assert (answer["success"], answer["code"]) == (True, 200)


async def test_an_exception_is_the_answer_and_the_text_so_far_stays() -> None:
    async with served_module("long") as (server, _):
        answer = await server.call("id-1", "broken")
        assert (answer["success"], answer["error"]) == (False, "the model fell over")
        assert server.text_of("id-1") == "so far "


async def test_a_fast_writer_is_merged_into_few_messages() -> None:
    async with served_module("long") as (server, _):
        answer = await asyncio.wait_for(server.call("id-1", "go", count="20000", pause="0"), 60)
        messages = [message for message in server.messages if isinstance(message, Events)]
        assert answer["reply"] == server.text_of("id-1")
        assert len(messages) < 5000
