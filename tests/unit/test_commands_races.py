"""Several things that happen to one command at once, while the disk is slow: it still has exactly one end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import msgspec
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import Command, CommandState, Payload, Reason
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.routing import Route
from server.commands.workers import Room, Worker
from tests.support.slow_disk import SlowDisk

ROUTE = Route(path="do", module_id="M", module_name="M", queue="q", command="do", long_running=True)
DONE = msgspec.Raw(b'{"success":true}')


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(tmp_path / "records")


@pytest.fixture
async def dispatcher(tmp_path: Path, disk: SlowDisk) -> AsyncIterator[Dispatcher]:
    broker = LocalBroker(tmp_path / "records", BlobFolder(tmp_path / "spool"), store=disk)
    await broker.open()
    dispatcher = Dispatcher(broker, DispatchSettings(cancel_deadline=3600))
    yield dispatcher
    disk.gate.set()
    await dispatcher.close()
    await broker.close()


def worker(name: str = "w") -> Worker:
    return Worker(worker_id=name, module_id="M", queue="q", room=Room(0, 1))


async def queued(dispatcher: Dispatcher) -> str:
    return (await dispatcher.submit(ROUTE, "ann", Payload())).command_id


async def running(dispatcher: Dispatcher, on: Worker) -> str:
    command_id = await queued(dispatcher)
    assert await dispatcher.claim(on, 0) is not None
    return command_id


async def at_once(disk: SlowDisk, first: Awaitable[object], *others: Awaitable[object]) -> None:
    """Begin the first and, while it waits for the disk, the others; then let the disk take everything."""
    disk.shut()
    tasks = [asyncio.ensure_future(first)]
    await disk.arrived.wait()
    tasks += [asyncio.ensure_future(work) for work in others]
    for _ in range(10):
        await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(*tasks)


async def test_both_of_two_cancels_are_told_that_it_is_cancelled(dispatcher: Dispatcher, disk: SlowDisk) -> None:
    command_id = await queued(dispatcher)
    both: list[asyncio.Task[Command]] = []
    disk.shut()
    for _ in range(2):
        both.append(asyncio.create_task(dispatcher.cancel(command_id, "ann")))
    await disk.arrived.wait()
    disk.gate.set()
    assert [one.state for one in await asyncio.gather(*both)] == [CommandState.CANCELLED] * 2


async def test_a_cancel_reaches_a_command_that_is_queued_again_meanwhile(
    dispatcher: Dispatcher, disk: SlowDisk
) -> None:
    first = worker()
    command_id = await running(dispatcher, first)
    started = dispatcher.started_long(first, command_id, "CPU")
    await at_once(disk, started, dispatcher.worker_gone(first, "killed"), dispatcher.cancel(command_id, "ann"))
    assert (await dispatcher.record(command_id)).state is CommandState.CANCELLED


async def test_a_command_whose_worker_dies_while_it_is_cancelled_ends(dispatcher: Dispatcher, disk: SlowDisk) -> None:
    first = worker()
    command_id = await running(dispatcher, first)
    await at_once(disk, dispatcher.cancel(command_id, "ann"), dispatcher.worker_gone(first, "killed"))
    record = await dispatcher.record(command_id)
    assert (record.state, record.reason) == (CommandState.CANCELLED, Reason.CANCELLED_BY_CLIENT.value)


async def test_an_answer_that_comes_while_a_cancel_is_written_ends_it_as_cancelled(
    dispatcher: Dispatcher, disk: SlowDisk
) -> None:
    first = worker()
    command_id = await running(dispatcher, first)
    answer = dispatcher.finish(first, command_id, True, DONE)
    await at_once(disk, dispatcher.cancel(command_id, "ann"), answer)
    record = await dispatcher.record(command_id)
    assert (record.state, bytes(record.result or b"")) == (CommandState.CANCELLED, bytes(DONE))
    assert first.room == Room(0, 1)


async def test_a_worker_has_its_room_back_when_its_answer_is_cut_off(dispatcher: Dispatcher, disk: SlowDisk) -> None:
    first = worker()
    command_id = await running(dispatcher, first)
    disk.shut()
    answering = asyncio.create_task(dispatcher.finish(first, command_id, True, DONE))
    await disk.arrived.wait()
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    disk.gate.set()
    assert (first.room, first.running) == (Room(0, 1), {})
    await dispatcher.cancel(command_id, "ann")
    assert (await dispatcher.record(command_id)).state is CommandState.COMPLETED


async def test_a_command_is_stopped_also_when_its_canceller_goes_away(dispatcher: Dispatcher, disk: SlowDisk) -> None:
    first = worker()
    command_id = await running(dispatcher, first)
    disk.shut()
    cancelling = asyncio.create_task(dispatcher.cancel(command_id, "ann"))
    await disk.arrived.wait()
    cancelling.cancel()
    await asyncio.gather(cancelling, return_exceptions=True)
    claiming = asyncio.create_task(dispatcher.claim(first, 30))
    disk.gate.set()
    claim = await claiming
    assert claim is not None
    assert claim.command.control


async def test_a_lost_command_is_lost_once(dispatcher: Dispatcher, disk: SlowDisk) -> None:
    first, second = worker("w1"), worker("w2")
    command_id = await running(dispatcher, first)
    started = dispatcher.started_long(first, command_id, "CPU")
    await at_once(
        disk,
        started,
        dispatcher.put_back(first, command_id),
        dispatcher.worker_gone(first, "killed"),
        dispatcher.claim(second, 30),
    )
    record = await dispatcher.record(command_id)
    assert (record.state, record.worker_id) == (CommandState.RUNNING, "w2")


async def test_a_queued_long_command_is_answered_without_waiting_for_its_start(dispatcher: Dispatcher) -> None:
    command_id = await queued(dispatcher)
    assert (await dispatcher.begun(command_id, 3600)).state is CommandState.QUEUED
