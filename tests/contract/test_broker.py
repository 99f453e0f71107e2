"""What every broker promises. Each implementation is one parameter of the ``broker`` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from codeproject_ai_sdk.protocol import NamedValue

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.broker import Broker
from server.commands.command import LIVE, Change, Command, CommandState, Payload, UploadedFile, new_command_id
from server.commands.errors import QueueFullError
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.workers import Room

MakeBroker = Callable[[], Awaitable[Broker]]


@pytest.fixture(params=["local"])
async def new_broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeBroker]:
    """A function that opens a broker on the same storage each time; the earlier one is closed first."""
    opened: list[Broker] = []

    async def make() -> Broker:
        if opened:
            await opened.pop().close()
        broker = LocalBroker(
            tmp_path / "records", BlobFolder(tmp_path / "spool"), reply_bytes=64 * 1024, waiting_bytes=1_000_000
        )
        await broker.open()
        opened.append(broker)
        return broker

    yield make
    for broker in opened:
        await broker.close()


@pytest.fixture
async def broker(new_broker: MakeBroker) -> Broker:
    return await new_broker()


def command(owner: str = "ann", *, long: bool = False, **more: Any) -> Command:
    return Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner=owner, long=long, **more)


async def submit(broker: Broker, owner: str = "ann", **more: Any) -> Command:
    made = command(owner, **more)
    await broker.submit(made, Payload(), 100)
    return made


async def claim_id(broker: Broker, worker: str = "w", room: Room | None = None) -> str | None:
    claim = await broker.claim("q", worker, room or Room(1, 1), 0)
    return None if claim is None else claim.command.command_id


async def end(broker: Broker, command_id: str, result: bytes = b'{"success":true}') -> Command | None:
    change = Change(result=msgspec.Raw(result))
    return await broker.transition(command_id, LIVE, CommandState.COMPLETED, change)


async def test_a_claimed_command_carries_its_payload(broker: Broker) -> None:
    made = command()
    payload = Payload([NamedValue("a", ["1", "2"])], [UploadedFile("f", "x", None, 1, b"z")], ["seg"])
    await broker.submit(made, payload, 100)
    claim = await broker.claim("q", "w", Room(1, 1), 0)
    assert claim is not None
    assert (claim.command.command_id, claim.payload) == (made.command_id, payload)
    assert (claim.command.state, claim.command.deliveries) == (CommandState.RUNNING, 1)
    assert await claim_id(broker) is None


async def test_a_waiting_claim_gets_the_next_command(broker: Broker) -> None:
    waiting = asyncio.create_task(broker.claim("q", "w", Room(1, 1), 30))
    await asyncio.sleep(0)
    made = await submit(broker)
    claim = await waiting
    assert claim is not None
    assert claim.command.command_id == made.command_id


async def test_queue_names_ignore_letter_case(broker: Broker) -> None:
    made = await submit(broker)
    claim = await broker.claim("Q", "w", Room(1, 1), 0)
    assert claim is not None
    assert claim.command.command_id == made.command_id


async def test_owners_take_turns(broker: Broker) -> None:
    ann = [await submit(broker, "ann") for _ in range(3)]
    bob = [await submit(broker, "bob") for _ in range(2)]
    order = [await claim_id(broker) for _ in range(5)]
    assert order == [c.command_id for c in (ann[0], bob[0], ann[1], bob[1], ann[2])]


async def test_positions_are_the_order_of_service(broker: Broker) -> None:
    commands = [await submit(broker, owner) for owner in ("ann", "ann", "bob", "cyd", "bob", "ann")]
    positions = {c.command_id: await broker.position(c.command_id) for c in commands}
    served = [await claim_id(broker) for _ in commands]
    assert [positions[command_id or ""] for command_id in served] == list(range(len(commands)))


async def test_a_worker_without_room_gets_only_what_fits(broker: Broker) -> None:
    long = await submit(broker, long=True)
    quick = await submit(broker)
    assert await claim_id(broker, room=Room(0, 0)) is None
    assert await claim_id(broker, room=Room(1, 0)) == quick.command_id
    assert await claim_id(broker, room=Room(1, 0)) is None
    assert await claim_id(broker, room=Room(0, 1)) == long.command_id


async def test_room_is_lowered_by_what_is_handed_out_and_an_offer_hands_out_more(broker: Broker) -> None:
    room = Room(1, 0)
    first, second = await submit(broker), await submit(broker)
    assert await claim_id(broker, room=room) == first.command_id
    assert room == Room(0, 0)
    waiting = asyncio.create_task(broker.claim("q", "w", room, 30))
    await asyncio.sleep(0)
    room.quick += 1
    broker.offer("q")
    claim = await waiting
    assert claim is not None
    assert (claim.command.command_id, room) == (second.command_id, Room(0, 0))


async def test_a_claim_that_comes_to_nothing_gives_its_room_back(broker: Broker) -> None:
    room = Room(1, 0)
    waiting = asyncio.create_task(broker.claim("q", "w", room, 30))
    await asyncio.sleep(0)
    made = await submit(broker)
    queued = {CommandState.QUEUED}
    assert await broker.transition(made.command_id, queued, CommandState.CANCELLED, Change(reason="x"))
    assert await waiting is None
    assert room == Room(1, 0)


async def test_control_commands_come_first_and_only_to_their_worker(broker: Broker) -> None:
    work = await submit(broker)
    control = await submit(broker, "", control=True, worker_id="w2")
    assert await claim_id(broker, "w1") == work.command_id
    assert await claim_id(broker, "w1") is None
    assert await claim_id(broker, "w2", Room(0, 0)) == control.command_id


async def test_a_full_queue_refuses_and_keeps_nothing(broker: Broker) -> None:
    await broker.submit(command(), Payload(), 1)
    refused = command()
    with pytest.raises(QueueFullError) as error:
        await broker.submit(refused, Payload(), 1)
    assert error.value.retry_after > 0
    assert await broker.get(refused.command_id) is None


async def test_cancelling_a_waiting_claim_loses_nothing(broker: Broker) -> None:
    for _ in range(50):
        waiting = asyncio.create_task(broker.claim("q", "w", Room(1, 1), 30))
        await asyncio.sleep(0)
        made = await submit(broker)
        waiting.cancel()
        result = (await asyncio.gather(waiting, return_exceptions=True))[0]
        if isinstance(result, BaseException) or result is None:
            assert await claim_id(broker) == made.command_id


async def test_a_requeued_command_is_the_next_one(broker: Broker) -> None:
    first, second = await submit(broker), await submit(broker)
    assert await claim_id(broker) == first.command_id
    assert await broker.requeue(first.command_id)
    assert [await claim_id(broker), await claim_id(broker)] == [first.command_id, second.command_id]
    record = await broker.get(first.command_id)
    assert record is not None
    assert record.deliveries == 2


async def test_a_delivery_that_does_not_count_is_as_if_it_had_not_been(broker: Broker) -> None:
    made = await submit(broker)
    for counted, deliveries in ((False, 0), (True, 1), (False, 1)):
        assert await claim_id(broker) == made.command_id
        assert await broker.requeue(made.command_id, counted=counted)
        record = await broker.get(made.command_id)
        assert record is not None
        assert record.deliveries == deliveries


async def test_transitions_are_compare_and_set(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    ends = await asyncio.gather(
        end(broker, made.command_id), broker.transition(made.command_id, LIVE, CommandState.FAILED, Change())
    )
    assert [result is not None for result in ends] == [True, False]
    assert await broker.transition(made.command_id, LIVE, CommandState.CANCELLED, Change()) is None
    record = await broker.get(made.command_id)
    assert record is not None
    assert (record.state, bytes(record.result or b"")) == (CommandState.COMPLETED, b'{"success":true}')


async def test_a_cancelled_waiting_command_is_never_claimed(broker: Broker) -> None:
    made = await submit(broker)
    queued = {CommandState.QUEUED}
    assert await broker.transition(made.command_id, queued, CommandState.CANCELLED, Change(reason="x"))
    assert await claim_id(broker) is None
    assert await broker.position(made.command_id) is None


async def test_events_are_numbered_without_gaps(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "Hel", 1), NewEvent(EventKind.DELTA, "lo", 2)])
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "lo", 2), NewEvent(EventKind.FIELDS, {"a": 1}, 3)])
    await end(broker, made.command_id)
    page = await broker.read(made.command_id, 0, 0)
    assert page is not None
    assert [event.seq for event in page.events] == list(range(1, 7))
    assert [event.kind.value for event in page.events] == ["queued", "started", "delta", "delta", "fields", "result"]
    assert page.ended
    reply = await broker.reply(made.command_id)
    assert reply is not None
    assert (reply.text, reply.fields, reply.last_seq) == ("Hello", {"a": 1}, 6)


async def test_a_reader_waits_for_what_comes(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    waiting = asyncio.create_task(broker.read(made.command_id, 2, 30))
    await asyncio.sleep(0)
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "x", 1)])
    page = await waiting
    assert page is not None
    assert [(event.seq, event.data) for event in page.events] == [(3, "x")]


async def test_nothing_is_appended_after_the_end(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    await end(broker, made.command_id)
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "late", 1)])
    reply = await broker.reply(made.command_id)
    assert reply is not None
    assert reply.text is None


async def test_a_reader_of_dropped_history_is_told(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    for n in range(1, 21):
        await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "x" * 8192, n)])
    page = await broker.read(made.command_id, 0, 0)
    reply = await broker.reply(made.command_id)
    assert page is not None
    assert reply is not None
    assert page.gone
    assert len(reply.text or "") == 20 * 8192


async def test_milestone_waits_for_the_end(broker: Broker) -> None:
    made = await submit(broker)
    await claim_id(broker)
    waiting = asyncio.create_task(broker.milestone(made.command_id, 30))
    await asyncio.sleep(0)
    await end(broker, made.command_id)
    record = await waiting
    assert record is not None
    assert record.ended


async def test_an_ended_long_command_survives_a_restart_byte_for_byte(new_broker: MakeBroker) -> None:
    broker = await new_broker()
    made = await submit(broker, long=True)
    await claim_id(broker)
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "Grüße 🙂", 1)])
    await end(broker, made.command_id, b'{"success": true, "b":1, "a":2}')
    broker = await new_broker()
    record, reply = await broker.get(made.command_id), await broker.reply(made.command_id)
    page = await broker.read(made.command_id, 0, 0)
    assert record is not None
    assert reply is not None
    assert page is not None
    assert bytes(record.result or b"") == b'{"success": true, "b":1, "a":2}'
    assert (record.state, reply.text) == (CommandState.COMPLETED, "Grüße 🙂")
    assert [event.seq for event in page.events] == [1, 2, 3, 4]
    assert page.events[-1].kind is EventKind.RESULT


async def test_a_waiting_long_command_is_queued_again_after_a_restart(new_broker: MakeBroker) -> None:
    broker = await new_broker()
    made = command(long=True)
    payload = Payload([NamedValue("p", ["1"])], [UploadedFile("f", "x", "text/plain", 3, b"abc")])
    await broker.submit(made, payload, 10)
    broker = await new_broker()
    claim = await broker.claim("q", "w", Room(1, 1), 0)
    assert claim is not None
    assert (claim.command.command_id, claim.payload) == (made.command_id, payload)


async def test_the_deliveries_of_a_waiting_command_are_known_after_a_restart(new_broker: MakeBroker) -> None:
    broker = await new_broker()
    made = await submit(broker, long=True)
    await claim_id(broker)
    await broker.requeue(made.command_id)
    broker = await new_broker()
    record = await broker.get(made.command_id)
    assert record is not None
    assert (record.state, record.deliveries) == (CommandState.QUEUED, 1)


async def test_a_running_long_command_is_known_as_running_after_a_restart(new_broker: MakeBroker) -> None:
    broker = await new_broker()
    made = await submit(broker, long=True)
    await claim_id(broker)
    broker = await new_broker()
    record = await broker.get(made.command_id)
    assert record is not None
    assert record.state is CommandState.RUNNING
    assert await claim_id(broker) is None


async def test_a_forgotten_command_is_gone_for_good(new_broker: MakeBroker) -> None:
    broker = await new_broker()
    made = await submit(broker, long=True)
    await broker.forget(made.command_id)
    assert await broker.get(made.command_id) is not None, "a live command is not forgotten"
    await claim_id(broker)
    await end(broker, made.command_id)
    await broker.forget(made.command_id)
    broker = await new_broker()
    assert await broker.get(made.command_id) is None
    assert await broker.records() == []


async def test_uploaded_files_are_removed_at_the_end(broker: Broker, tmp_path: Path) -> None:
    spooled = tmp_path / "spool" / "upload"
    spooled.parent.mkdir()
    spooled.write_bytes(b"x")
    made = command()
    await broker.submit(made, Payload([], [UploadedFile("f", "x", None, 1, None, str(spooled))]), 10)
    await claim_id(broker)
    assert spooled.exists()
    await end(broker, made.command_id)
    assert not spooled.exists()


async def test_a_trimmed_reply_keeps_its_text_and_says_that_history_is_gone(broker: Broker) -> None:
    made = await submit(broker, long=True)
    await claim_id(broker)
    await broker.append(made.command_id, [NewEvent(EventKind.DELTA, "Hello", 1)])
    await broker.trim(made.command_id)
    await end(broker, made.command_id)
    await broker.trim(made.command_id)
    page, reply = await broker.read(made.command_id, 0, 0), await broker.reply(made.command_id)
    assert page is not None
    assert reply is not None
    assert (page.gone, page.ended, [event.kind for event in page.events]) == (True, True, [EventKind.RESULT])
    assert reply.text == "Hello"


async def test_large_payloads_together_are_bounded_and_small_ones_are_not_kept_out(broker: Broker) -> None:
    large = Payload([NamedValue("a", ["x" * 400_000])])
    first, second, third = command(long=True), command("bob"), command()
    await broker.submit(first, large, 100)
    await broker.submit(second, large, 100)
    with pytest.raises(QueueFullError, match="max_waiting_bytes"):
        await broker.submit(third, large, 100)
    await submit(broker)
    await end(broker, first.command_id)
    await broker.submit(third, large, 100)
