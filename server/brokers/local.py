"""The broker of a single node: asyncio in memory, with the records of long commands on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..commands.command import Change, Command, CommandState, Payload
from ..commands.errors import QueueFullError
from ..commands.reply_buffer import Event, EventKind, EventPage, NewEvent, Reply, ReplyBuffer
from ..commands.workers import Room
from .base import Claim
from .fair_queue import FairQueue
from .record_store import RecordStore

FLUSH_SECONDS = 0.05
RETRY_AFTER_SECONDS = 5

_CLOSING_EVENT = {
    CommandState.COMPLETED: EventKind.RESULT,
    CommandState.FAILED: EventKind.ERROR,
    CommandState.EXPIRED: EventKind.ERROR,
    CommandState.CANCELLED: EventKind.CANCELLED,
}


class _Entry:
    """One command with everything that belongs to it."""

    def __init__(self, command: Command, payload: Payload, max_bytes: int) -> None:
        self.command = command
        self.next: Command | None = None
        """The record after a transition that is still being written to disk."""
        self.payload = payload
        self.buffer = ReplyBuffer(max_bytes)
        self.unwritten: list[Event] = []
        self.chunks = 0
        self.readers: set[asyncio.Future[None]] = set()

    @property
    def latest(self) -> Command:
        return self.next or self.command

    def wake(self) -> None:
        readers, self.readers = self.readers, set()
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    async def changed(self, timeout: float) -> None:
        """Wait for the next change, or for the time to pass."""
        reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.readers.add(reader)
        try:
            await asyncio.wait((reader,), timeout=timeout)
        finally:
            self.readers.discard(reader)


class _Waiter:
    """A worker waiting for a command."""

    def __init__(self, worker_id: str, room: Room) -> None:
        self.worker_id = worker_id
        self.room = room
        self.claimed: asyncio.Future[str] = asyncio.get_running_loop().create_future()


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
    """Implements ``brokers.base.Broker``. ``folder``: for the records; ``spool``: where uploads wait for their end."""

    def __init__(self, folder: Path, spool: Path, reply_bytes: int = 4 * 1024 * 1024) -> None:
        self._store = RecordStore(folder)
        self._spool = spool
        self._reply_bytes = reply_bytes
        self._entries: dict[str, _Entry] = {}
        self._queues: dict[str, _Queue] = {}
        self._dirty: dict[str, _Entry] = {}
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the records back; commands that were still queued are queued again."""
        for stored in await self._store.open():
            entry = _Entry(stored.command, stored.payload, self._reply_bytes)
            for event in stored.events:
                entry.buffer.restore(event)
            entry.chunks = stored.chunks
            self._entries[stored.command.command_id] = entry
            self._mend(entry)
            if entry.command.state is CommandState.QUEUED:
                self._queue(entry.command.queue).line(entry.command).put(entry.command.owner, entry.command.command_id)

    async def close(self) -> None:
        """Write what is not written yet and close the folder."""
        if self._flusher is not None:
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
        await self.flush()
        await self._store.close()

    async def submit(self, command: Command, payload: Payload, limit: int) -> int:
        """See the port."""
        queue = self._queue(command.queue)
        entry = _Entry(command, payload, self._reply_bytes)
        if command.control and command.worker_id is not None:
            self._entries[command.command_id] = entry
            queue.control.setdefault(command.worker_id, deque()).append(command.command_id)
            self._hand_out(queue)
            return 0
        if len(queue) >= limit:
            raise QueueFullError(command.queue, len(queue), RETRY_AFTER_SECONDS)
        self._entries[command.command_id] = entry
        if command.long:
            await self._store.save(command, payload)
        line = queue.line(command)
        line.put(command.owner, command.command_id)
        position = line.position(command.owner, command.command_id) or 0
        self._note(entry, NewEvent(EventKind.QUEUED, {"position": position}))
        self._hand_out(queue)
        return position

    async def claim(self, queue: str, worker_id: str, room: Room, timeout: float) -> Claim | None:
        """See the port."""
        line = self._queue(queue)
        command_id = line.take(worker_id, room)
        if command_id is None:
            command_id = await self._wait_in(line, _Waiter(worker_id, room), timeout)
        return None if command_id is None else self._start(command_id, worker_id, room)

    def offer(self, queue: str) -> None:
        """See the port."""
        self._hand_out(self._queue(queue))

    async def requeue(self, command_id: str) -> bool:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state is not CommandState.RUNNING:
            return False
        worker_id = entry.command.worker_id
        entry.command.state = CommandState.QUEUED
        entry.command.worker_id = None
        if entry.command.long:
            await self._store.save(entry.command)
        queue = self._queue(entry.command.queue)
        if entry.command.control:
            queue.control.setdefault(worker_id or "", deque()).appendleft(command_id)
            entry.command.worker_id = worker_id
        else:
            queue.line(entry.command).put_front(entry.command.owner, command_id)
        self._note(entry, NewEvent(EventKind.QUEUED, {"position": 0, "redelivery": True}))
        self._hand_out(queue)
        return True

    async def transition(
        self, command_id: str, expected: Iterable[CommandState], state: CommandState, change: Change
    ) -> Command | None:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state not in set(expected):
            return None
        was = entry.latest
        new = msgspec.structs.replace(was, state=state, **_set_values(change))
        if state.ended:
            new.ended_at = time.time()
        if was.state is CommandState.QUEUED and state is not CommandState.QUEUED:
            self._leave_queue(was)
        entry.next = new
        if new.long:
            if entry.unwritten:
                self._dirty[command_id] = entry
            if state.ended:
                await self.flush()
            await self._store.save(new, entry.payload if not was.long else None)
        if entry.next is new:
            entry.next = None
        entry.command = new
        if state.ended:
            self._note_end(entry)
            payload, entry.payload = entry.payload, Payload()
            await self._discard_files(payload)
        entry.wake()
        return new

    async def append(self, command_id: str, events: list[NewEvent]) -> int:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.ended:
            return 0
        for event in events:
            self._note(entry, event)
        return entry.buffer.last_seq

    async def flush(self) -> None:
        """See the port."""
        async with self._writing:
            dirty, self._dirty = self._dirty, {}
            chunks: list[tuple[str, int, list[Event]]] = []
            for command_id, entry in dirty.items():
                if entry.unwritten and entry.latest.long:
                    chunks.append((command_id, entry.chunks, entry.unwritten))
                    entry.chunks += 1
                    entry.unwritten = []
            if chunks:
                await self._store.append(chunks)

    async def read(self, command_id: str, after: int, wait: float) -> EventPage | None:
        """See the port."""
        deadline = time.monotonic() + wait
        while (entry := self._entries.get(command_id)) is not None:
            events, gone = entry.buffer.after(after)
            left = deadline - time.monotonic()
            if events or entry.command.ended or left <= 0:
                return EventPage(events, entry.command.ended, gone)
            await entry.changed(left)
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
            await entry.changed(left)
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
        del self._entries[command_id]
        self._dirty.pop(command_id, None)
        entry.wake()
        if entry.command.long:
            await self._store.delete(command_id, entry.chunks)

    async def _discard_files(self, payload: Payload) -> None:
        paths = [Path(file.path) for file in payload.files if file.path is not None]
        if paths:
            await asyncio.to_thread(_remove, paths)

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name.lower(), _Queue())

    async def _wait_in(self, queue: _Queue, waiter: _Waiter, timeout: float) -> str | None:
        queue.waiters[waiter] = None
        try:
            await asyncio.wait((waiter.claimed,), timeout=timeout)
        except asyncio.CancelledError:
            if waiter.claimed.done():
                self._give_back(queue, waiter.claimed.result(), waiter)
            raise
        finally:
            queue.waiters.pop(waiter, None)
        return waiter.claimed.result() if waiter.claimed.done() else None

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
            command_id = queue.take(waiter.worker_id, waiter.room)
            if command_id is not None:
                del queue.waiters[waiter]
                waiter.claimed.set_result(command_id)

    def _start(self, command_id: str, worker_id: str, room: Room) -> Claim | None:
        """Mark a taken command as running. A long one is not written: what started is known by its events."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.state is not CommandState.QUEUED:
            if entry is not None and not entry.command.control:
                room.change(entry.command.long, 1)
            return None
        command = entry.command
        command.state = CommandState.RUNNING
        command.worker_id = worker_id
        command.deliveries += 1
        self._note(entry, NewEvent(EventKind.STARTED, {"delivery": command.deliveries}))
        return Claim(command, entry.payload)

    def _mend(self, entry: _Entry) -> None:
        """Bring a record read from disk up to what its last events say: they are written without it."""
        kinds = [event.kind for event in entry.buffer.after(0)[0]]
        if entry.command.state is CommandState.QUEUED and kinds[-1:] not in ([], [EventKind.QUEUED]):
            entry.command.state = CommandState.RUNNING
        if entry.command.ended and kinds[-1:] != [_CLOSING_EVENT[entry.command.state]]:
            self._note_end(entry)

    def _leave_queue(self, command: Command) -> None:
        self._queue(command.queue).line(command).remove(command.owner, command.command_id)

    def _note(self, entry: _Entry, event: NewEvent) -> None:
        noted = entry.buffer.append(event)
        if noted is None:
            return
        if not entry.command.control:
            entry.unwritten.append(noted)
            if entry.latest.long:
                self._dirty[entry.command.command_id] = entry
                self._flush_soon()
        entry.wake()

    def _note_end(self, entry: _Entry) -> None:
        command = entry.command
        data = {"state": command.state.value, "reason": command.reason, "error": command.error}
        self._note(entry, NewEvent(_CLOSING_EVENT[command.state], data))

    def _flush_soon(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        while self._dirty:
            await self.flush()
            await asyncio.sleep(FLUSH_SECONDS)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Uploads whose command did not survive the last run."""
    if folder.is_dir():
        _remove(path for path in folder.iterdir() if str(path) not in kept)


def _set_values(change: Change) -> dict[str, object]:
    values = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
