"""The life of a command, explored by Hypothesis: any order of submit, claim, write, finish, cancel, kill, restart.

The disk refuses writes at times, and at times it does not answer: then several things happen to one command at once,
one of their callers goes away, and the server may be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import Command, CommandState, Payload
from server.commands.control import CANCEL
from server.commands.dispatcher import Dispatcher, DispatchSettings
from server.commands.errors import CommandError, QueueFullError, StorageError, UnknownCommandError
from server.commands.reply_buffer import Event, EventKind, NewEvent
from server.commands.routing import Route
from server.commands.workers import Room, Worker
from tests.support.slow_disk import SlowDisk

OWNERS = ("ann", "bob")
PICK = st.integers(0, 997)
"""Which of the commands there are, counted in the order they were accepted."""
WORKS = st.lists(st.sampled_from(("submit", "cancel", "start", "finish", "return", "lose")), min_size=2, max_size=4)
T = TypeVar("T")


def route(long: bool, idempotent: bool) -> Route:
    name = f"do-{long}-{idempotent}"
    return Route(
        path=name, module_id="M", module_name="M", queue="q", command=name, long_running=long, idempotent=idempotent
    )


def numbers_of_deliveries(events: list[Event]) -> list[list[int]]:
    """Return the module's own event numbers, for each delivery: with each of them they begin anew."""
    deliveries: list[list[int]] = [[]]
    for event in events:
        if event.kind is EventKind.STARTED:
            deliveries.append([])
        elif event.n:
            deliveries[-1].append(event.n)
    return deliveries


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Wait until all have ended, as they may: refused, or because their caller went away."""
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, (CommandError, asyncio.CancelledError)), repr(outcome)


class CommandLife(RuleBasedStateMachine):
    """Two workers and two owners over one local broker."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.launches = 0
        self.accepted: dict[str, str] = {}
        self.long: set[str] = set()
        self.final: dict[str, CommandState] = {}
        self.killed: dict[str, int] = {}
        self.written: dict[str, int] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        self.open()
        self.workers = [self.new_worker(), self.new_worker()]

    def open(self) -> None:
        self.disk = SlowDisk(self.folder / "records")
        self.broker = LocalBroker(self.folder / "records", BlobFolder(self.folder / "spool"), store=self.disk)
        self.run(self.broker.open())
        self.dispatcher = Dispatcher(self.broker, DispatchSettings(queue_length=6, cancel_deadline=3600))

    def new_worker(self) -> Worker:
        self.launches += 1
        return Worker(worker_id=f"w{self.launches}", module_id="M", queue="q")

    @rule(owner=st.sampled_from(OWNERS), long=st.booleans(), idempotent=st.booleans())
    def submit(self, owner: str, long: bool, idempotent: bool) -> None:
        try:
            command = self.run(self.dispatcher.submit(route(long, idempotent), owner, Payload()))
        except QueueFullError:
            assert sum(1 for c in self.commands() if c.state is CommandState.QUEUED) >= 6
            return
        except StorageError:
            return
        self.accepted[command.command_id] = owner
        if command.long:
            self.long.add(command.command_id)

    @rule(index=st.integers(0, 1), quick=st.integers(0, 1), long=st.integers(0, 1))
    def claim(self, index: int, quick: int, long: int) -> None:
        worker = self.workers[index]
        worker.room = Room(quick, long)
        claim = self.run(self.dispatcher.claim(worker, 0))
        if claim is None:
            return
        self.written.pop(claim.command.command_id, None)
        if claim.command.control:
            assert claim.command.name == CANCEL
            self.run(self.dispatcher.finish(worker, claim.command.command_id, True, msgspec.Raw(b"{}")))

    @rule(pick=PICK)
    def start_long(self, pick: int) -> None:
        found = self.pick_running(pick)
        if found is not None:
            self.run(self.dispatcher.started_long(found[0], found[1], "CPU"))
            if not self.record(found[1]).ended:
                self.long.add(found[1])

    @rule(pick=PICK)
    def write(self, pick: int) -> None:
        found = self.pick_running(pick)
        if found is not None:
            n = self.written.get(found[1], 0) + 1
            again = [NewEvent(EventKind.DELTA, "x", max(1, n - 1)), NewEvent(EventKind.DELTA, "x", n)]
            self.run(self.dispatcher.append(found[1], again))
            self.written[found[1]] = n

    @rule(index=st.integers(0, 1))
    def dismiss(self, index: int) -> None:
        self.dispatcher.dismiss(self.workers[index], "the test stops it")

    @rule(pick=PICK, counted=st.booleans())
    def put_back(self, pick: int, counted: bool) -> None:
        found = self.pick_running(pick)
        if found is not None:
            before = self.record(found[1]).deliveries
            self.run(self.dispatcher.put_back(found[0], found[1], counted=counted))
            after = self.record(found[1])
            assert after.ended or after.deliveries == before - (not counted)
            assert after.ended or before < 2 or not counted

    @rule(pick=PICK, success=st.booleans(), unfinished=st.booleans())
    def finish(self, pick: int, success: bool, unfinished: bool) -> None:
        found = self.pick_running(pick)
        if found is not None and (unfinished or found[0].dismissed):
            output = msgspec.Raw(b'{"success":true}')
            long = self.record(found[1]).long
            self.run(self.dispatcher.finish(found[0], found[1], True, output, unfinished))
            state = self.record(found[1]).state
            assert state is not CommandState.COMPLETED or not (unfinished or long)
        elif found is not None:
            output = msgspec.Raw(b'{"success":true}' if success else b'{"success":false,"error":"no"}')
            self.run(self.dispatcher.finish(found[0], found[1], success, output))
            assert self.record(found[1]).ended

    @rule(pick=PICK, asker=st.sampled_from(OWNERS))
    def cancel(self, pick: int, asker: str) -> None:
        if not self.accepted:
            return
        command_id = list(self.accepted)[pick % len(self.accepted)]
        before = self.find(command_id)
        try:
            after = self.run(self.dispatcher.cancel(command_id, asker))
        except UnknownCommandError:
            assert before is None or self.accepted[command_id] != asker
            return
        assert self.accepted[command_id] == asker
        assert after.ended or after.state is CommandState.CANCELLING

    @rule(index=st.integers(0, 1), deliberate=st.booleans())
    def kill_worker(self, index: int, deliberate: bool) -> None:
        worker, running = self.workers[index], set(self.workers[index].running)
        before = {c.command_id: c.deliveries for c in self.commands() if c.command_id in running}
        self.run(self.dispatcher.worker_gone(worker, "killed", deliberate))
        assert not worker.running
        for command_id, deliveries in before.items():
            after = self.record(command_id)
            assert after.ended or after.state is CommandState.QUEUED
            if deliveries >= 2 and not deliberate:
                assert after.ended
        self.workers[index] = self.new_worker()

    @rule(times=st.integers(1, 2))
    def disk_refuses(self, times: int) -> None:
        """The next writes fail; what was accepted goes on all the same."""
        self.disk.refusing = times

    @rule(works=WORKS, pick=PICK, leaving=st.integers(0, 5), killed=st.booleans())
    def all_at_once(self, works: list[str], pick: int, leaving: int, killed: bool) -> None:
        """While the disk does not answer, several things happen to one command; one of their callers goes away."""
        with contextlib.suppress(StorageError):
            self.run(self.broker.flush())
        self.disk.shut()
        tasks = [self.loop.create_task(self.work(name, pick)) for name in works]
        self.run(some_turns())
        if leaving < len(tasks):
            tasks[leaving].cancel()
            self.run(some_turns())
        if killed:
            self.kill(tasks)
        self.disk.gate.set()
        self.run(ended(tasks))

    async def work(self, name: str, pick: int) -> None:
        """Do one thing to the command that ``pick`` chooses, or to its worker."""
        running = self.pick_running(pick)
        if name == "submit":
            command = await self.dispatcher.submit(route(True, pick % 2 == 0), "ann", Payload())
            self.accepted[command.command_id] = "ann"
            self.long.add(command.command_id)
        elif name == "cancel" and self.accepted:
            command_id = list(self.accepted)[pick % len(self.accepted)]
            await self.dispatcher.cancel(command_id, self.accepted[command_id])
        elif running is not None:
            worker, command_id = running
            if name == "start":
                await self.dispatcher.started_long(worker, command_id, "CPU")
            elif name == "finish":
                await self.dispatcher.finish(worker, command_id, True, msgspec.Raw(b'{"success":true}'))
            elif name == "return":
                await self.dispatcher.put_back(worker, command_id)
            elif name == "lose":
                self.workers[self.workers.index(worker)] = self.new_worker()
                await self.dispatcher.worker_gone(worker, "killed")

    @precondition(lambda self: bool(self.long))
    @rule()
    def restart_server(self) -> None:
        self.disk.refusing = 0
        self.run(self.broker.flush())
        self.run(self.dispatcher.close())
        known = {c.command_id: c for c in self.commands() if c.long}
        self.run(self.broker.close())
        self.open()
        self.run(self.dispatcher.recover([]))
        for command_id, before in known.items():
            after = self.record(command_id)
            if before.ended:
                assert after.state is before.state
            else:
                assert after.ended or after.state is CommandState.QUEUED
        self.accepted = {cid: owner for cid, owner in self.accepted.items() if cid in known}
        self.workers = [self.new_worker(), self.new_worker()]

    @precondition(lambda self: bool(self.long))
    @rule()
    def kill_server(self) -> None:
        """At any moment, whatever is on its way to disk: what was seen is there again, under the same numbers."""
        self.kill([])

    def kill(self, tasks: list[asyncio.Task[None]]) -> None:
        """Go on with what is on disk now, while ``tasks`` were under way."""
        told = [c.command_id for c in self.commands() if c.long and c.command_id in self.accepted]
        seen = {command_id: self.events(command_id) for command_id in told}
        killed, left = self.folder, Path(tempfile.mkdtemp())
        shutil.copytree(killed, left, dirs_exist_ok=True)
        self.disk.gate.set()
        self.run(ended(tasks))
        self.run(self.dispatcher.close())
        self.run(self.broker.close())
        self.folder = left
        self.open()
        assert self.broker.damaged == []
        self.run(self.dispatcher.recover([]))
        shutil.rmtree(killed)
        for command_id, events in seen.items():
            assert self.events(command_id)[: len(events)] == events
        self.accepted = {cid: owner for cid, owner in self.accepted.items() if cid in seen}
        self.workers = [self.new_worker(), self.new_worker()]

    @invariant()
    def final_states_are_final(self) -> None:
        for command in self.commands():
            known = self.final.get(command.command_id)
            assert known is None or command.state is known
            if command.ended:
                self.final[command.command_id] = command.state
                assert command.state is CommandState.COMPLETED or command.reason

    @invariant()
    def events_have_no_gap_and_one_end(self) -> None:
        for command in self.commands():
            page = self.run(self.broker.read(command.command_id, 0, 0))
            assert page is not None
            assert [event.seq for event in page.events] == list(range(1, len(page.events) + 1))
            closing = [e for e in page.events if e.kind in (EventKind.RESULT, EventKind.ERROR, EventKind.CANCELLED)]
            assert len(closing) == (1 if command.ended else 0)
            for numbers in numbers_of_deliveries(page.events):
                assert numbers == sorted(set(numbers))

    @invariant()
    def nobody_sees_another_owners_command(self) -> None:
        for owner in OWNERS:
            assert {c.owner for c in self.run(self.dispatcher.owned(owner))} <= {owner}

    def teardown(self) -> None:
        """At the end every command can still be brought to its end."""
        self.disk.gate.set()
        self.disk.refusing = 0
        for worker in self.workers:
            self.run(self.dispatcher.worker_gone(worker, "stopped"))
        for command in self.commands():
            if not command.ended:
                self.run(self.dispatcher.cancel(command.command_id, command.owner))
        assert all(command.ended for command in self.commands())
        self.run(self.dispatcher.close())
        self.run(self.broker.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)

    def commands(self) -> list[Command]:
        return [c for c in self.run(self.broker.records()) if not c.control]

    def events(self, command_id: str) -> list[Event]:
        page = self.run(self.broker.read(command_id, 0, 0))
        assert page is not None
        return page.events

    def find(self, command_id: str) -> Command | None:
        return self.run(self.broker.get(command_id))

    def record(self, command_id: str) -> Command:
        found = self.find(command_id)
        assert found is not None
        return found

    def pick_running(self, pick: int) -> tuple[Worker, str] | None:
        running = [(w, cid) for cid in self.accepted for w in self.workers if cid in w.running]
        return running[pick % len(running)] if running else None


@pytest.mark.timeout(300)
def test_any_life_of_commands_keeps_the_promises() -> None:
    many = settings(max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(CommandLife, settings=many)
