"""What a broker promises while its disk is slow: a command's changes are made one after the other, each whole."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import LIVE, Change, Command, CommandState, Payload, new_command_id
from server.commands.errors import QueueFullError, StorageError
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.workers import Room
from tests.support.slow_disk import SlowDisk

ENDS = {CommandState.COMPLETED, CommandState.FAILED, CommandState.CANCELLED}


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(tmp_path / "records")


@pytest.fixture
async def broker(tmp_path: Path, disk: SlowDisk) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(tmp_path / "records", BlobFolder(tmp_path / "spool"), store=disk)
    await broker.open()
    yield broker
    disk.gate.set()
    disk.refusing = 0
    await broker.close()


def command(*, long: bool = True) -> Command:
    return Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner="ann", long=long)


async def submit(broker: LocalBroker, *, long: bool = True) -> str:
    made = command(long=long)
    await broker.submit(made, Payload(), 100)
    return made.command_id


async def running(broker: LocalBroker, *, long: bool = True, worker: str = "w") -> str:
    command_id = await submit(broker, long=long)
    assert await broker.claim("q", worker, Room(1, 1), 0) is not None
    return command_id


async def record(broker: LocalBroker, command_id: str) -> Command:
    found = await broker.get(command_id)
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def left_by_a_kill(folder: Path, *, journal: bool = True) -> AsyncIterator[LocalBroker]:
    """Open a copy of what is on disk now."""
    without = None if journal else shutil.ignore_patterns("*.journal")
    shutil.copytree(folder / "records", folder / "left", ignore=without)
    again = LocalBroker(folder / "left", BlobFolder(folder / "spool"))
    await again.open()
    yield again
    await again.close()


async def test_a_process_that_dies_while_its_start_is_written_leaves_nothing_running(
    broker: LocalBroker, disk: SlowDisk
) -> None:
    command_id = await running(broker)
    disk.shut()
    run = CommandState.RUNNING
    started = asyncio.create_task(broker.transition(command_id, {run}, run, Change(long=True, started_at=1.0)))
    await disk.arrived.wait()
    requeued = asyncio.create_task(broker.requeue(command_id))
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(started, requeued)
    assert (await record(broker, command_id)).state is CommandState.QUEUED
    claim = await broker.claim("q", "w2", Room(0, 1), 0)
    assert claim is not None
    assert claim.command.command_id == command_id


async def test_an_end_is_not_undone_by_a_change_that_began_before_it(broker: LocalBroker, disk: SlowDisk) -> None:
    command_id = await running(broker)
    disk.shut()
    asked = broker.transition(command_id, {CommandState.RUNNING}, CommandState.CANCELLING, Change(reason="x"))
    asking = asyncio.create_task(asked)
    await disk.arrived.wait()
    ending = asyncio.create_task(broker.transition(command_id, LIVE, CommandState.COMPLETED, Change()))
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(asking, ending)
    assert (await record(broker, command_id)).state is CommandState.COMPLETED


async def test_of_two_changes_at_once_the_second_is_told_what_the_first_has_made(
    broker: LocalBroker, disk: SlowDisk
) -> None:
    command_id = await submit(broker)
    disk.shut()
    queued, cancelled = {CommandState.QUEUED}, CommandState.CANCELLED
    both = [asyncio.create_task(broker.transition(command_id, queued, cancelled, Change())) for _ in range(2)]
    await disk.arrived.wait()
    disk.gate.set()
    assert [one is not None for one in await asyncio.gather(*both)] == [True, False]
    assert (await record(broker, command_id)).state is CommandState.CANCELLED


async def test_a_change_is_made_whole_also_when_its_caller_goes_away(broker: LocalBroker, disk: SlowDisk) -> None:
    command_id = await submit(broker)
    disk.shut()
    change = broker.transition(command_id, {CommandState.QUEUED}, CommandState.CANCELLED, Change(reason="x"))
    caller = asyncio.create_task(change)
    await disk.arrived.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    disk.gate.set()
    assert await broker.transition(command_id, LIVE, CommandState.FAILED, Change()) is None
    assert (await record(broker, command_id)).state is CommandState.CANCELLED


async def test_a_command_whose_client_leaves_while_it_is_accepted_waits_in_its_queue(
    broker: LocalBroker, disk: SlowDisk
) -> None:
    made = command()
    disk.shut()
    caller = asyncio.create_task(broker.submit(made, Payload(), 10))
    await disk.arrived.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    claiming = asyncio.create_task(broker.claim("q", "w", Room(0, 1), 30))
    await asyncio.sleep(0)
    disk.gate.set()
    claim = await claiming
    assert claim is not None
    assert claim.command.command_id == made.command_id


async def test_a_queue_has_no_room_for_more_while_others_are_written(broker: LocalBroker, disk: SlowDisk) -> None:
    disk.shut()
    first = asyncio.create_task(broker.submit(command(), Payload(), 1))
    await disk.arrived.wait()
    with pytest.raises(QueueFullError):
        await broker.submit(command(), Payload(), 1)
    disk.gate.set()
    assert await first == 0


async def test_what_the_disk_refuses_is_not_written_later(broker: LocalBroker, disk: SlowDisk, tmp_path: Path) -> None:
    refused = command()
    disk.refusing = 1
    with pytest.raises(StorageError):
        await broker.submit(refused, Payload(), 10)
    kept = await running(broker)
    await broker.flush()
    async with left_by_a_kill(tmp_path) as again:
        assert [one.command_id for one in await again.records()] == [kept]


async def test_a_cancelled_flush_loses_no_batch(broker: LocalBroker, disk: SlowDisk, tmp_path: Path) -> None:
    command_id = await running(broker)
    await broker.flush()
    for n, text in enumerate(("a", "b"), 1):
        await broker.append(command_id, [NewEvent(EventKind.DELTA, text, n)])
        disk.shut()
        flushing = asyncio.create_task(broker.flush())
        await disk.arrived.wait()
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        disk.gate.set()
        await broker.flush()
    async with left_by_a_kill(tmp_path, journal=False) as again:
        reply = await again.reply(command_id)
        assert reply is not None
        assert reply.text == "ab"


async def test_events_are_not_counted_to_a_delivery_that_ended_while_they_waited(
    broker: LocalBroker, disk: SlowDisk
) -> None:
    command_id = await running(broker)
    disk.shut()
    appending = asyncio.create_task(broker.append(command_id, [NewEvent(EventKind.DELTA, "late", 1)]))
    await disk.arrived.wait()
    await broker.requeue(command_id)
    assert await broker.claim("q", "w2", Room(0, 1), 0) is not None
    disk.gate.set()
    await appending
    reply = await broker.reply(command_id)
    assert reply is not None
    assert reply.text is None


async def test_who_runs_a_command_is_on_disk_before_its_words_are_seen(broker: LocalBroker, disk: SlowDisk) -> None:
    command_id = await running(broker)
    disk.shut()
    flushing = asyncio.create_task(broker.flush())
    await disk.arrived.wait()
    appending = asyncio.create_task(broker.append(command_id, [NewEvent(EventKind.DELTA, "x", 1)]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not appending.done()
    disk.gate.set()
    await asyncio.gather(flushing, appending)
    reply = await broker.reply(command_id)
    assert reply is not None
    assert reply.text == "x"


async def test_a_command_that_turns_out_to_be_long_waits_in_the_line_of_long_ones(broker: LocalBroker) -> None:
    command_id = await submit(broker, long=False)
    queued = CommandState.QUEUED
    assert await broker.transition(command_id, {queued}, queued, Change(long=True)) is not None
    assert await broker.claim("q", "w", Room(1, 0), 0) is None
    assert await broker.position(command_id) == 0
    room = Room(0, 1)
    assert await broker.claim("q", "w", room, 0) is not None
    assert room == Room(0, 0)


async def test_only_the_worker_that_has_a_command_loses_it(broker: LocalBroker) -> None:
    command_id = await running(broker, worker="new")
    assert not await broker.requeue(command_id, worker_id="old")
    assert await broker.transition(command_id, LIVE, CommandState.FAILED, Change(), worker_id="old") is None
    assert (await record(broker, command_id)).state is CommandState.RUNNING
    assert await broker.requeue(command_id, worker_id="new")


async def test_room_comes_back_when_a_command_is_gone_before_it_was_taken(broker: LocalBroker) -> None:
    room = Room(1, 0)
    waiting = asyncio.create_task(broker.claim("q", "w", room, 30))
    await asyncio.sleep(0)
    command_id = await submit(broker, long=False)
    await broker.transition(command_id, LIVE, CommandState.CANCELLED, Change())
    await broker.forget(command_id)
    assert await waiting is None
    assert room == Room(1, 0)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_end_that_the_disk_does_not_take_is_an_end(
    broker: LocalBroker, disk: SlowDisk, cancelled: bool
) -> None:
    command_id = await running(broker)
    disk.refusing = 1
    state = CommandState.CANCELLED if cancelled else CommandState.COMPLETED
    ended = await broker.transition(command_id, LIVE, state, Change())
    assert ended is not None
    assert (await record(broker, command_id)).state in ENDS
