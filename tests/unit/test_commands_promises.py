"""Small promises of the dispatcher and the broker that nothing else would show to be broken."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import Command, CommandState, Payload
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.errors import NotAcceptingError, StorageError
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.routing import Route
from server.commands.workers import Room, Worker
from tests.support.slow_disk import SlowDisk


def route(*, long: bool = True, idempotent: bool = False) -> Route:
    name = f"{long}-{idempotent}"
    return Route(
        path=name, module_id="M", module_name="M", queue="q", command=name, long_running=long, idempotent=idempotent
    )


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(tmp_path / "records")


@pytest.fixture
async def broker(tmp_path: Path, disk: SlowDisk) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(tmp_path / "records", BlobFolder(tmp_path / "spool"), store=disk)
    await broker.open()
    yield broker
    disk.refusing = 0
    await broker.close()


@pytest.fixture
def dispatcher(broker: LocalBroker) -> Dispatcher:
    return Dispatcher(broker, DispatchSettings())


def worker(quick: int = 1, long: int = 1) -> Worker:
    return Worker(worker_id="w", module_id="M", queue="q", room=Room(quick, long))


async def running(dispatcher: Dispatcher, on: Worker, of: Route) -> Command:
    command = await dispatcher.submit(of, "ann", Payload())
    assert await dispatcher.claim(on, 0) is not None
    return command


@pytest.mark.parametrize("idempotent", [False, True])
async def test_only_an_idempotent_command_runs_again_after_its_words_were_seen(
    dispatcher: Dispatcher, idempotent: bool
) -> None:
    on = worker()
    command = await running(dispatcher, on, route(idempotent=idempotent))
    await dispatcher.append(command.command_id, [NewEvent(EventKind.DELTA, "seen", 1)])
    await dispatcher.worker_gone(on, "killed")
    state = (await dispatcher.record(command.command_id)).state
    assert state is (CommandState.QUEUED if idempotent else CommandState.FAILED)


@pytest.mark.parametrize("closing", [False, True])
async def test_a_server_that_stops_takes_no_more_commands(dispatcher: Dispatcher, closing: bool) -> None:
    await (dispatcher.close() if closing else dispatcher.drain([], 0))
    with pytest.raises(NotAcceptingError):
        await dispatcher.submit(route(), "ann", Payload())


async def test_a_cancelled_claim_gives_its_room_back(dispatcher: Dispatcher) -> None:
    on = worker()
    claiming = asyncio.create_task(dispatcher.claim(on, 30))
    await asyncio.sleep(0)
    await dispatcher.submit(route(long=False), "ann", Payload())
    assert on.room == Room(0, 1)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    assert on.room == Room(1, 1)
    assert await dispatcher.claim(on, 0) is not None


async def test_room_for_a_quick_command_is_offered_when_one_turns_out_to_be_long(dispatcher: Dispatcher) -> None:
    on = worker()
    command = await running(dispatcher, on, route(long=False))
    other = Route(path="o", module_id="M", module_name="M", queue="q", command="other")
    waiting = await dispatcher.submit(other, "ann", Payload())
    claiming = asyncio.create_task(dispatcher.claim(on, 30))
    await asyncio.sleep(0)
    assert not claiming.done()
    await dispatcher.started_long(on, command.command_id, "CPU")
    claim = await claiming
    assert claim is not None
    assert claim.command.command_id == waiting.command_id


async def test_events_that_could_not_be_written_are_written_later(
    dispatcher: Dispatcher, broker: LocalBroker, disk: SlowDisk, tmp_path: Path
) -> None:
    command = await running(dispatcher, worker(), route())
    await broker.append(command.command_id, [NewEvent(EventKind.DELTA, "a", 1)])
    disk.refusing = 1
    with pytest.raises(StorageError):
        await broker.flush()
    await broker.flush()
    shutil.copytree(tmp_path / "records", tmp_path / "left", ignore=shutil.ignore_patterns("*.journal"))
    again = LocalBroker(tmp_path / "left", BlobFolder(tmp_path / "spool"))
    await again.open()
    reply = await again.reply(command.command_id)
    assert reply is not None
    assert reply.text == "a"
    await again.close()


async def test_the_journal_holds_only_what_the_store_does_not(
    dispatcher: Dispatcher, broker: LocalBroker, tmp_path: Path
) -> None:
    command = await running(dispatcher, worker(), route())
    for n in range(1, 4):
        await broker.append(command.command_id, [NewEvent(EventKind.DELTA, "a" * 1000, n)])
        await broker.flush()
    journals = sorted((tmp_path / "records").glob("*.journal"))
    assert [path.stat().st_size for path in journals] == [0, 0]
