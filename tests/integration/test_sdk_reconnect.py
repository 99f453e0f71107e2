"""The server goes away and comes back while commands run: nothing is lost and nothing repeated."""

from __future__ import annotations

import asyncio

from codeproject_ai_sdk import protocol
from codeproject_ai_sdk.protocol import Cancel, Events, Hello, Ready, Result, Resume, Started, Welcome

from tests.support.sdk_server import WAIT, ChannelServer, channel_of, module, served_module


def known_of(server: ChannelServer) -> dict[str, int]:
    """Return the last number that the server has of each command."""
    known: dict[str, int] = {}
    for message in server.messages:
        if isinstance(message, Events):
            known[message.command_id] = message.first + len(message.events) - 1
        elif isinstance(message, Result):
            known[message.command_id] = message.n
    return known


def count(server: ChannelServer, kind: type[object]) -> int:
    """Return how many messages of that kind have come."""
    return sum(isinstance(message, kind) for message in server.messages)


def remember(server: ChannelServer) -> None:
    """Make the server welcome a module with what it truly has."""

    def greet(hello: Hello) -> Welcome:
        known = known_of(server)
        return Welcome(protocol.VERSION, [Resume(r.command_id, known.get(r.command_id, 0)) for r in hello.resumes])

    server.greet = greet


async def test_no_token_is_lost_or_repeated_over_many_drops() -> None:
    async with served_module("long") as (server, _):
        remember(server)
        await server.command("id-1", "go", count="300", pause="0.01")
        for drop in range(1, 4):
            await server.until(lambda: len(server.text_of("id-1")) > 30 * drop)  # noqa: B023
            await server.disconnect()
            await server.until(lambda: count(server, Ready) == 1 + drop)  # noqa: B023
        answer = await server.answer("id-1")
        assert server.text_of("id-1") == answer["reply"] == "".join(f"w{step} " for step in range(1, 301))
        assert len(server.hellos) == 4
        assert count(server, Started) == 4


async def test_what_was_not_acknowledged_is_sent_again_to_a_server_that_lost_it() -> None:
    async with served_module("long") as (server, _):
        server.acknowledge = False
        await server.command("id-1", "go", count="5", pause="0")
        await server.answer("id-1")
        text = server.text_of("id-1")
        server.messages.clear()
        server.acknowledge = True
        await server.disconnect()
        answer = await server.answer("id-1")
        assert server.text_of("id-1") == answer["reply"] == text
        [hello] = server.hellos[1:]
        assert [resume.command_id for resume in hello.resumes] == ["id-1"]


async def test_what_was_acknowledged_is_not_mentioned_again() -> None:
    async with served_module("quick") as (server, _):
        await server.call("id-1", "echo")
        await server.call("id-2", "echo")
        await server.disconnect()
        await server.until(lambda: len(server.hellos) == 2)
        assert {resume.command_id for resume in server.hellos[1].resumes} <= {"id-2"}


async def test_a_server_that_was_down_gets_the_result_when_it_is_back() -> None:
    async with served_module("long") as (server, _):
        remember(server)
        await server.command("id-1", "go", count="40", pause="0.01")
        await server.until(lambda: "w3 " in server.text_of("id-1"))
        await server.stop()
        await asyncio.sleep(0)
        await server.start()
        answer = await server.answer("id-1")
        assert server.text_of("id-1") == answer["reply"]


async def test_a_command_that_the_server_does_not_know_any_more_is_stopped_and_forgotten() -> None:
    async with served_module("long", CPAI_MODULE_PARALLELISM="1") as (server, _):
        await server.command("id-1", "go", count="1000000", name="old")
        await server.until(lambda: "old3 " in server.text_of("id-1"))
        server.greet = lambda _: Welcome(protocol.VERSION, [])
        await server.disconnect()
        await server.until(lambda: len(server.hellos) == 2)
        server.messages.clear()
        # Its place is free again, and its id may come again.
        answer = await server.call("id-1", "go", count="3", name="new")
        assert answer["reply"] == "new1 new2 new3 "
        assert server.text_of("id-1") == "new1 new2 new3 "
        await server.disconnect()
        await server.until(lambda: len(server.hellos) == 3)
        assert {resume.command_id for resume in server.hellos[2].resumes} <= {"id-1"}


async def test_a_command_may_be_cancelled_after_a_reconnect() -> None:
    async with served_module("long") as (server, _):
        remember(server)
        await server.command("id-1", "go", count="1000000")
        await server.until(lambda: server.text_of("id-1") != "")
        await server.disconnect()
        await server.until(lambda: len(server.hellos) == 2)
        await server.send(Cancel("id-1"))
        assert (await server.answer("id-1"))["stop_reason"] == "cancelled"


async def test_the_connection_may_be_lost_in_the_middle_of_a_command_with_files() -> None:
    async with served_module("quick") as (server, _):
        header = protocol.FileHeader("a", "a", None, 1, None)
        await server.send(protocol.Command("id-1", "echo", [], [header], []))
        await server.disconnect()
        await server.until(lambda: len(server.hellos) == 2)
        assert server.hellos[1].resumes == []
        assert (await server.upload("id-1", [header], b"x"))["sizes"] == [1]


async def test_a_frame_that_is_no_message_breaks_only_the_connection() -> None:
    async with served_module("quick") as (server, _):
        assert server._socket is not None
        await server._socket.send_str("nonsense")
        await server.until(lambda: len(server.hellos) == 2)
        assert (await server.call("id-1", "echo"))["success"] is True


async def test_a_module_waits_for_a_server_that_starts_later() -> None:
    server = ChannelServer()
    await server.start()
    await server.stop()
    async with module("quick", **channel_of(server)):
        await server.start()
        try:
            await asyncio.wait_for(server.find(Ready), WAIT)
        finally:
            await server.stop()
