"""A command that nobody owns has an end, however it came to that."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import CommandState, Payload, Reason
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.routing import Route
from server.commands.watchdog import SILENT_SECONDS, Watchdog
from server.commands.workers import Room, Worker, WorkerRegistry

ROUTE = Route(path="do", module_id="M", module_name="M", queue="q", command="do", long_running=True)


class Watched:
    """A dispatcher, its workers, and the watchdog over both."""

    def __init__(self, folder: Path) -> None:
        self.broker = LocalBroker(folder / "records", BlobFolder(folder / "spool"))
        self.dispatcher = Dispatcher(self.broker, DispatchSettings(cancel_deadline=0.01))
        self.workers = WorkerRegistry()
        self.said: list[str] = []
        self.watchdog = Watchdog(self.dispatcher, self.workers, self.said.append)
        self.worker = Worker(worker_id="w", module_id="M", queue="q", room=Room(0, 2))
        self.workers.add(self.worker)

    async def running(self) -> str:
        command = await self.dispatcher.submit(ROUTE, "ann", Payload())
        assert await self.dispatcher.claim(self.worker, 0) is not None
        await self.dispatcher.append(command.command_id, [NewEvent(EventKind.DELTA, "x", 1)])
        return command.command_id

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            await self.watchdog.look(time.monotonic())

    async def state(self, command_id: str) -> tuple[CommandState, str | None]:
        record = await self.dispatcher.record(command_id)
        return record.state, record.reason


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    await watched.broker.open()
    yield watched
    await watched.dispatcher.close()
    await watched.broker.close()


async def test_what_runs_on_a_worker_that_is_there_is_left_alone(watched: Watched) -> None:
    command_id = await watched.running()
    await watched.look(5)
    assert await watched.state(command_id) == (CommandState.RUNNING, None)
    assert watched.said == []


async def test_a_command_whose_worker_is_not_known_any_more_ends(watched: Watched) -> None:
    command_id = await watched.running()
    watched.workers.remove("w")
    await watched.look(1)
    assert (await watched.state(command_id))[0] is CommandState.RUNNING, "it may just be on its way"
    await watched.look(1)
    assert await watched.state(command_id) == (CommandState.FAILED, Reason.MODULE_LOST.value)
    assert command_id in watched.said[0]


async def test_a_command_that_its_worker_does_not_have_ends(watched: Watched) -> None:
    command_id = await watched.running()
    watched.worker.running.clear()
    await watched.look()
    assert (await watched.state(command_id))[0] is CommandState.FAILED


async def test_an_order_to_a_worker_that_is_gone_is_forgotten(watched: Watched) -> None:
    command_id = await watched.running()
    watched.worker.room.closed = True
    watched.workers.remove("w")
    await watched.dispatcher.cancel(command_id, "ann")
    await watched.look()
    assert (await watched.state(command_id))[0] is CommandState.CANCELLED
    assert [one.command_id for one in await watched.broker.records()] == [command_id]


async def test_what_a_silent_external_process_runs_ends(watched: Watched) -> None:
    watched.worker.external = True
    watched.worker.last_contact = time.monotonic() - SILENT_SECONDS - 1
    command_id = await watched.running()
    await watched.look(1)
    assert await watched.state(command_id) == (CommandState.FAILED, Reason.MODULE_LOST.value)
    assert watched.workers.all() == []


async def test_a_cancelled_command_ends_although_nobody_can_kill_its_process(watched: Watched) -> None:
    command_id = await watched.running()
    await watched.dispatcher.cancel(command_id, "ann")
    assert (await watched.state(command_id))[0] is CommandState.CANCELLING
    page = await watched.broker.read(command_id, 3, 30)
    assert page is not None
    assert page.ended
    assert (await watched.state(command_id))[0] is CommandState.CANCELLED
