"""The broker of a single node: asyncio in memory, with the records of long commands on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ...commands.broker import Claim, OnUnwritable
from ...commands.clock import Clock
from ...commands.command import Change, Command, CommandState, Payload
from ...commands.errors import QueueFullError, StorageError
from ...commands.reply_buffer import EventKind, EventPage, NewEvent, Reply
from ...commands.workers import Room
from .entry import Entry
from .fair_queue import FairQueue
from .journal import Journal
from .record_store import RecordStore
from .recovery import mend, missing_end, replay
from .writer import Writer

RETRY_AFTER_SECONDS = 5


class _Waiter:
    """A worker waiting for a command."""

    def __init__(self, worker_id: str, room: Room) -> None:
        self.worker_id = worker_id
        self.room = room
        self.claimed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def settle(self, command_id: str | None) -> bool:
        """End the waiting, with a command or without; false when it has ended already."""
        if self.claimed.done():
            return False
        self.claimed.set_result(command_id)
        return True


class _Queue:
    """The waiting commands of one queue: control lines by worker, and one fair line per sort of work."""

    def __init__(self) -> None:
        self.control: dict[str, deque[str]] = {}
        self.quick = FairQueue()
        self.long = FairQueue()
        self.waiters: OrderedDict[_Waiter, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.quick) + len(self.long)

    def line(self, command: Command) -> FairQueue:
        return self.long if command.long else self.quick

    def take(self, worker_id: str, room: Room) -> str | None:
        control = self.control.get(worker_id)
        if control:
            command_id = control.popleft()
            if not control:
                del self.control[worker_id]
            return command_id
        for long, line in ((False, self.quick), (True, self.long)):
            if room.fits(long) and len(line):
                room.change(long, -1)
                return line.take()
        return None


class LocalBroker:
    """Implements ``brokers.base.Broker``. ``folder``: for the records; ``spool``: where uploads wait for their end.

    ``clock`` goes on, when the broker opens, where that of the last run ended.
    """

    def __init__(
        self, folder: Path, spool: Path, reply_bytes: int = 4 * 1024 * 1024, clock: Clock | None = None
    ) -> None:
        self._clock = clock or Clock()
        self._writer = Writer(RecordStore(folder), Journal(folder))
        self._spool = spool
        self._reply_bytes = reply_bytes
        self._entries: dict[str, Entry] = {}
        self._queues: dict[str, _Queue] = {}

    def on_unwritable(self, tell: OnUnwritable) -> None:
        """See the port."""
        self._writer.on_unwritable = tell

    @property
    def damaged(self) -> list[str]:
        """What could not be read back from disk and was set aside, in words."""
        return self._writer.damaged

    async def open(self) -> None:
        """Read the records back; commands that were still queued are queued again."""
        records, journal = await self._writer.open()
        if self._writer.last_sign_of_life is not None:
            self._clock.go_on(self._writer.last_sign_of_life)
        for stored in records:
            entry = Entry(stored.command, stored.payload, self._reply_bytes)
            for event in stored.events:
                entry.buffer.restore(event)
            entry.chunks = stored.chunks
            entry.payload_stored = True
            self._entries[stored.command.command_id] = entry
        for line in journal:
            known = self._entries.get(line.command_id)
            if known is not None and replay(known, line.event):
                self._writer.fall_behind(known)
        for entry in self._entries.values():
            self._take_up(entry)
        files = [file.path for entry in self._entries.values() for file in entry.payload.files]
        await asyncio.to_thread(_remove_others, self._spool, {path for path in files if path is not None})
        await self.note_life()

    async def note_life(self) -> None:
        """See the port."""
        await self._writer.note_life(self._clock.sign_of_life())

    async def close(self) -> None:
        """Write what is not written yet and close the folder."""
        await self.note_life()
        await self._writer.close()

    async def submit(self, command: Command, payload: Payload, limit: int) -> int:
        """See the port."""
        queue = self._queue(command.queue)
        entry = Entry(command, payload, self._reply_bytes)
        if command.control and command.worker_id is not None:
            self._entries[command.command_id] = entry
            queue.control.setdefault(command.worker_id, deque()).append(command.command_id)
            self._hand_out(queue)
            return 0
        if len(queue) >= limit:
            raise QueueFullError(command.queue, len(queue), RETRY_AFTER_SECONDS)
        self._entries[command.command_id] = entry
        if command.long:
            try:
                await self._writer.save(entry)
            except StorageError:
                del self._entries[command.command_id]
                await self._discard_files(payload)
                raise
            if entry.latest.ended:
                return 0
        line = queue.line(command)
        position = len(line)
        line.put(command.owner, command.command_id)
        if position:
            position = line.position(command.owner, command.command_id) or 0
        self._note(entry, NewEvent(EventKind.QUEUED, {"position": position}))
        self._hand_out(queue)
        return position

    async def claim(self, queue: str, worker_id: str, room: Room, timeout: float) -> Claim | None:
        """See the port."""
        line = self._queue(queue)
        command_id = line.take(worker_id, room)
        if command_id is None and timeout > 0:
            command_id = await self._wait_in(line, _Waiter(worker_id, room), timeout)
        return None if command_id is None else self._start(command_id, worker_id, room)

    def offer(self, queue: str) -> None:
        """See the port."""
        self._hand_out(self._queue(queue))

    async def requeue(self, command_id: str, *, counted: bool = True) -> bool:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state is not CommandState.RUNNING:
            return False
        worker_id = entry.command.worker_id
        entry.command.state = CommandState.QUEUED
        entry.command.worker_id = None
        entry.command.deliveries -= 0 if counted else 1
        entry.unsaved = entry.command.long
        queue = self._queue(entry.command.queue)
        if entry.command.control:
            queue.control.setdefault(worker_id or "", deque()).appendleft(command_id)
            entry.command.worker_id = worker_id
        else:
            queue.line(entry.command).put_front(entry.command.owner, command_id)
        again = {"position": 0, "redelivery": True, "deliveries": entry.command.deliveries}
        self._note(entry, NewEvent(EventKind.QUEUED, again))
        self._hand_out(queue)
        return True

    async def transition(
        self, command_id: str, expected: Iterable[CommandState], state: CommandState, change: Change
    ) -> Command | None:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state not in expected:
            return None
        was = entry.latest
        new = msgspec.structs.replace(was, state=state, **_set_values(change))
        if state.ended:
            new.ended_at = self._clock.now()
        if was.state is CommandState.QUEUED and state is not CommandState.QUEUED:
            self._leave_queue(was)
        entry.next = new
        try:
            if new.long:
                await self._save(entry, promoted=not was.long)
        finally:
            if entry.next is new:
                entry.next = None
        entry.command = new
        if state.ended:
            self._note_end(entry)
            payload, entry.payload = entry.payload, Payload()
            await self._discard_files(payload)
        entry.changed.wake()
        entry.passed.wake()
        return new

    async def append(self, command_id: str, events: list[NewEvent]) -> int:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.ended:
            return 0
        if entry.unsaved and entry.command.long:
            # Who runs it is on disk before anything it says is seen: after a restart that worker must be found.
            with contextlib.suppress(StorageError):
                await self._writer.flush()
        for event in events:
            self._note(entry, event)
        return entry.buffer.last_seq

    async def flush(self) -> None:
        """See the port."""
        await self._writer.flush()

    async def read(self, command_id: str, after: int, wait: float) -> EventPage | None:
        """See the port."""
        deadline = time.monotonic() + wait
        while (entry := self._entries.get(command_id)) is not None:
            events, gone = entry.buffer.after(after)
            left = deadline - time.monotonic()
            if events or entry.command.ended or left <= 0:
                return EventPage(events, entry.command.ended, gone)
            await entry.changed.wait(left)
        return None

    async def reply(self, command_id: str) -> Reply | None:
        """See the port."""
        entry = self._entries.get(command_id)
        return None if entry is None else entry.buffer.reply()

    async def last_n(self, command_id: str) -> int:
        """See the port."""
        entry = self._entries.get(command_id)
        return 0 if entry is None else entry.buffer.last_n

    async def get(self, command_id: str) -> Command | None:
        """See the port."""
        entry = self._entries.get(command_id)
        return None if entry is None else entry.command

    async def milestone(self, command_id: str, timeout: float) -> Command | None:
        """See the port."""
        deadline = time.monotonic() + timeout
        while (entry := self._entries.get(command_id)) is not None:
            command = entry.command
            left = deadline - time.monotonic()
            claimed = command.state is not CommandState.QUEUED
            if command.ended or (command.long and claimed and command.started_at is not None) or left <= 0:
                return command
            await entry.passed.wait(left)
        return None

    async def position(self, command_id: str) -> int | None:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.command.state is not CommandState.QUEUED:
            return None
        line = self._queue(entry.command.queue).line(entry.command)
        return line.position(entry.command.owner, command_id)

    async def records(self) -> list[Command]:
        """See the port."""
        return [entry.command for entry in self._entries.values()]

    async def trim(self, command_id: str) -> None:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is not None and entry.command.ended:
            entry.buffer.trim()

    async def forget(self, command_id: str) -> None:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or not entry.command.ended:
            return
        if entry.command.long:
            await self._writer.forget(entry)
        self._entries.pop(command_id, None)
        entry.changed.wake()
        entry.passed.wake()

    async def _discard_files(self, payload: Payload) -> None:
        if payload.files:
            paths = [Path(file.path) for file in payload.files if file.path is not None]
            await asyncio.to_thread(_remove, paths)

    def _queue(self, name: str) -> _Queue:
        key = name.lower()
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        return queue

    async def _wait_in(self, queue: _Queue, waiter: _Waiter, timeout: float) -> str | None:
        queue.waiters[waiter] = None
        timer = asyncio.get_running_loop().call_later(timeout, waiter.settle, None)
        try:
            return await waiter.claimed
        except asyncio.CancelledError:
            if not waiter.claimed.cancelled() and (claimed := waiter.claimed.result()) is not None:
                self._give_back(queue, claimed, waiter)
            raise
        finally:
            timer.cancel()
            queue.waiters.pop(waiter, None)

    def _give_back(self, queue: _Queue, command_id: str, waiter: _Waiter) -> None:
        entry = self._entries.get(command_id)
        if entry is None:
            return
        command = entry.command
        if command.control:
            queue.control.setdefault(waiter.worker_id, deque()).appendleft(command_id)
        else:
            waiter.room.change(command.long, 1)
            if command.state is CommandState.QUEUED:
                queue.line(command).put_front(command.owner, command_id)
        self._hand_out(queue)

    def _hand_out(self, queue: _Queue) -> None:
        """Give waiting commands to waiting workers, first come first served."""
        for waiter in list(queue.waiters):
            if waiter.claimed.done():
                continue
            command_id = queue.take(waiter.worker_id, waiter.room)
            if command_id is not None:
                del queue.waiters[waiter]
                waiter.settle(command_id)

    def _start(self, command_id: str, worker_id: str, room: Room) -> Claim | None:
        """Mark a taken command as running. A long one is written soon, and before anything it says is seen."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state is not CommandState.QUEUED:
            if entry is not None and not entry.command.control:
                room.change(entry.command.long, 1)
            return None
        command = entry.command
        command.state = CommandState.RUNNING
        command.worker_id = worker_id
        command.deliveries += 1
        entry.unsaved = command.long
        self._note(entry, NewEvent(EventKind.STARTED, {"delivery": command.deliveries}))
        return Claim(command, entry.payload)

    def _take_up(self, entry: Entry) -> None:
        """Go on with a command of the last run."""
        mend(entry, self._clock.now())
        closing = missing_end(entry)
        if closing is not None:
            self._note(entry, closing)
        if entry.command.state is CommandState.QUEUED:
            self._queue(entry.command.queue).line(entry.command).put(entry.command.owner, entry.command.command_id)

    async def _save(self, entry: Entry, *, promoted: bool) -> None:
        """Write a long command's new record. Raises ``StorageError`` only for one that was not long before.

        What has been accepted goes on, and ends, also without a disk; it is written when there is one again.
        """
        entry.unsaved = True
        if promoted:
            entry.unwritten = list(entry.buffer.after(0)[0])
        try:
            await self._writer.save(entry)
        except StorageError:
            if promoted:
                self._writer.give_up(entry)
                raise
            self._writer.fall_behind(entry)

    def _leave_queue(self, command: Command) -> None:
        self._queue(command.queue).line(command).remove(command.owner, command.command_id)

    def _note(self, entry: Entry, event: NewEvent) -> None:
        noted = entry.buffer.append(event)
        if noted is None:
            return
        if entry.latest.long:
            self._writer.note(entry, noted)
        entry.changed.wake()

    def _note_end(self, entry: Entry) -> None:
        closing = missing_end(entry)
        if closing is not None:
            self._note(entry, closing)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Uploads whose command did not survive the last run."""
    if folder.is_dir():
        _remove(path for path in folder.iterdir() if str(path) not in kept)


def _set_values(change: Change) -> dict[str, object]:
    return {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not msgspec.UNSET}
