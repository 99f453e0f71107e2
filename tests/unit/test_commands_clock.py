"""Durations when somebody sets the computer's clock: while a server runs, and between two of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.clock import Clock, SignOfLife
from server.commands.command import LIVE, Change, Command, CommandState, Payload
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.retention import Retention, RetentionSettings
from server.commands.routing import Route
from server.commands.workers import Worker
from server.hosting.process.process_tree import identify, is_alive

HOUR = 3600.0
KEPT = RetentionSettings(reply=600, result=24 * HOUR, waiting=HOUR)
ROUTE = Route(path="p", module_id="M", module_name="M", queue="q", command="do", long_running=True)
OUTPUT = msgspec.Raw(b'{"success":true}')


class Computer:
    """A computer whose clock somebody sets."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.uptime = 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.uptime)


class Run:
    """One run of a server, as far as commands are concerned."""

    def __init__(self, computer: Computer, folder: Path) -> None:
        self.clock = computer.clock()
        self.broker = LocalBroker(folder / "records", BlobFolder(folder / "spool"), clock=self.clock)
        self.dispatcher = Dispatcher(self.broker, DispatchSettings(), self.clock)
        self.retention = Retention(self.broker, KEPT, self.clock)
        self.worker = Worker(worker_id="w", module_id="M", queue="q")
        self.dispatcher.set_room(self.worker, 1, 1)

    async def submit(self) -> Command:
        return await self.dispatcher.submit(ROUTE, "ann", Payload())

    async def finished(self) -> Command:
        command = await self.submit()
        await self.dispatcher.claim(self.worker, 0)
        await self.dispatcher.started_long(self.worker, command.command_id, "CPU")
        await self.dispatcher.finish(self.worker, command.command_id, True, OUTPUT)
        return command

    async def sweep(self) -> None:
        await self.retention.sweep(self.clock.now())

    async def state(self, command: Command) -> CommandState | None:
        record = await self.broker.get(command.command_id)
        return None if record is None else record.state

    async def __aenter__(self) -> Run:
        await self.broker.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.close()


@pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR, 10_000 * HOUR])
async def test_setting_the_clock_expires_nothing_and_forgets_nothing(tmp_path: Path, jump: float) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        ended, waiting = await run.finished(), await run.submit()
        computer.wall += jump
        computer.passes(13)
        await run.sweep()
        states = [await run.state(command) for command in (ended, waiting)]
        assert states == [CommandState.COMPLETED, CommandState.QUEUED]
        page = await run.broker.read(ended.command_id, 0, 0)
        assert page is not None
        assert not page.gone


@pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR])
async def test_what_truly_passes_still_counts_after_the_clock_was_set(tmp_path: Path, jump: float) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        ended, waiting = await run.finished(), await run.submit()
        computer.wall += jump
        computer.passes(HOUR + 1)
        await run.sweep()
        record = await run.broker.get(waiting.command_id)
        assert record is not None
        assert (record.state, record.reason) == (CommandState.EXPIRED, "timeout")
        computer.passes(24 * HOUR)
        await run.sweep()
        assert await run.state(ended) is None


@pytest.mark.parametrize(
    ("before", "between", "expires"),
    [
        (5 * HOUR, 0.0, False),  # set while it ran: a restart makes no difference
        (-5 * HOUR, 0.0, False),
        (0.0, 2 * HOUR, True),  # nobody ran for two hours, as far as anybody can tell
        (0.0, -5 * HOUR, False),  # it never goes back
        (5 * HOUR, -5 * HOUR, False),
        (-5 * HOUR, 2 * HOUR, True),
    ],
)
async def test_over_a_restart_the_computers_clock_counts_and_never_goes_back(
    tmp_path: Path, before: float, between: float, expires: bool
) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        waiting = await run.submit()
        computer.wall += before
        computer.passes(60)
    computer.wall += between
    computer.uptime = 5.0  # the computer itself was started anew
    async with Run(computer, tmp_path) as run:
        await run.sweep()
        assert await run.state(waiting) is (CommandState.EXPIRED if expires else CommandState.QUEUED)
        again = await run.broker.get(waiting.command_id)
        assert again is not None
        assert run.clock.now() >= again.created_at + 60


async def test_a_killed_run_is_gone_on_from_its_last_sign_of_life(tmp_path: Path) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        computer.wall += 5 * HOUR
        computer.passes(20)
        await run.broker.note_life()
        computer.passes(5)
        now = run.clock.now()
        async with Run(computer, tmp_path) as after:
            assert after.clock.now() == pytest.approx(now)


async def test_a_folder_without_a_sign_of_life_is_read_by_the_computers_clock(tmp_path: Path) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        assert run.clock.now() == computer.wall


def test_times_are_shown_by_the_computers_clock() -> None:
    computer = Computer()
    clock = computer.clock()
    moment = clock.now()
    computer.wall += HOUR
    computer.passes(60.4)
    assert clock.time_of_day(moment) == computer.wall - 60.4
    assert clock.time_of_day(None) is None
    clock.go_on(SignOfLife(now=moment, wall=computer.wall))
    assert clock.now() == moment


async def test_a_record_shows_the_time_of_day(tmp_path: Path) -> None:
    computer = Computer()
    async with Run(computer, tmp_path) as run:
        command = await run.submit()
        computer.wall += HOUR
        assert run.clock.time_of_day(command.created_at) == computer.wall
        expired = await run.broker.transition(command.command_id, LIVE, CommandState.EXPIRED, Change())
        assert expired is not None
        assert expired.ended_at == command.created_at


def test_a_process_is_known_again_after_the_clock_was_set() -> None:
    own = identify(psutil.Process().pid)
    assert own is not None
    as_noted_before = msgspec.structs.replace(own, create_time=own.create_time - 5 * HOUR)
    assert is_alive(own)
    assert is_alive(as_noted_before)
    assert own.after_boot is not None
    another = msgspec.structs.replace(as_noted_before, after_boot=own.after_boot - 60)
    assert not is_alive(another)
    assert not is_alive(msgspec.structs.replace(another, after_boot=None))
