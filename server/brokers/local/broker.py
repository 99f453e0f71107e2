"""The broker of a single node: asyncio in memory, with the records of long commands on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ...commands.blobs import Blobs
from ...commands.broker import Claim, OnEvent, OnUnwritable
from ...commands.clock import Clock
from ...commands.command import Change, Command, CommandState, Payload
from ...commands.errors import QueueFullError, StorageError
from ...commands.reply_buffer import EventKind, EventPage, NewEvent, Reply, ReplyBuffer
from ...commands.reply_text import ReplyText
from ...commands.whole import begin
from ...commands.workers import Room
from .entry import Entry
from .fair_queue import FairQueue
from .journal import Journal
from .record_store import RecordStore
from .recovery import mend, missing_end, replay
from .text_folder import TextFolder
from .writer import Writer

RETRY_AFTER_SECONDS = 5
_LARGE_PAYLOAD = 64 * 1024
"""Bytes; smaller ones are bounded well enough by their number."""
T = TypeVar("T")


_Taken = tuple[str, "bool | None"]
"""A command taken out of its line, and which sort of room it got: a long one's or not, none for control commands."""


class _Waiter:
    """A worker waiting for a command."""

    def __init__(self, worker_id: str, room: Room) -> None:
        self.worker_id = worker_id
        self.room = room
        self.claimed: asyncio.Future[_Taken | None] = asyncio.get_running_loop().create_future()

    def settle(self, taken: _Taken | None) -> None:
        """End the waiting, with a command or without, if it has not ended already."""
        if not self.claimed.done():
            self.claimed.set_result(taken)


class _Queue:
    """The waiting commands of one queue: control lines by worker, and one fair line per sort of work."""

    def __init__(self) -> None:
        self.control: dict[str, deque[str]] = {}
        self.quick = FairQueue()
        self.long = FairQueue()
        self.waiters: OrderedDict[_Waiter, None] = OrderedDict()
        self.arriving = 0
        """Commands that are being written to disk before they wait here."""

    def __len__(self) -> int:
        return len(self.quick) + len(self.long) + self.arriving

    def line(self, command: Command) -> FairQueue:
        return self.long if command.long else self.quick

    def take(self, worker_id: str, room: Room) -> _Taken | None:
        control = self.control.get(worker_id)
        if control:
            command_id = control.popleft()
            if not control:
                del self.control[worker_id]
            return command_id, None
        for long, line in ((False, self.quick), (True, self.long)):
            if room.fits(long) and (first := line.take()) is not None:
                room.change(long, -1)
                return first, long
        return None

    def leave(self, command: Command) -> None:
        """Take a waiting command out, wherever it stands."""
        if not command.control:
            self.line(command).remove(command.owner, command.command_id)
            return
        line = self.control.get(command.worker_id or "", deque())
        if command.command_id in line:
            line.remove(command.command_id)
        if not line:
            self.control.pop(command.worker_id or "", None)


class LocalBroker:
    """Implements ``commands.broker.Broker``. ``folder``: for the records; ``blobs``: where its commands' uploads lie.

    ``clock`` goes on, when the broker opens, where that of the last run ended.
    """

    def __init__(
        self,
        folder: Path,
        blobs: Blobs,
        reply_bytes: int = 4 * 1024 * 1024,
        clock: Clock | None = None,
        store: RecordStore | None = None,
        reply_text_memory: int = 256 * 1024,
        waiting_bytes: int = 1024**3,
    ) -> None:
        self._clock = clock or Clock()
        self._writer = Writer(store or RecordStore(folder), Journal(folder))
        self._blobs = blobs
        self._reply_bytes = reply_bytes
        self._waiting_bytes = waiting_bytes
        self._text_memory = reply_text_memory
        self._texts = TextFolder(folder / "texts")
        self._entries: dict[str, Entry] = {}
        self._queues: dict[str, _Queue] = {}
        self._tell: OnEvent = lambda command, event: None
        self._gaps: list[str] = []
        self._changes: set[asyncio.Task[Any]] = set()
        """Those that wait for the disk."""

    def on_unwritable(self, tell: OnUnwritable) -> None:
        """See the port."""
        self._writer.on_unwritable = tell

    def on_event(self, tell: OnEvent) -> None:
        """See the port."""
        self._tell = tell

    @property
    def damaged(self) -> list[str]:
        """What could not be read back from disk and was set aside, in words."""
        return self._writer.damaged + self._gaps

    async def open(self) -> None:
        """Read the records back; commands that were still queued are queued again."""
        records, journal = await self._writer.open()
        await asyncio.to_thread(self._texts.open)
        if self._writer.last_sign_of_life is not None:
            self._clock.go_on(self._writer.last_sign_of_life)
        for stored in records:
            entry = self._new_entry(stored.command, stored.payload)
            for event in stored.events:
                entry.buffer.restore(event)
            entry.chunks, entry.stored_seq = stored.chunks, len(stored.events)
            entry.payload_stored = True
            self._entries[stored.command.command_id] = entry
        for line in journal:
            known = self._entries.get(line.command_id)
            if known is not None and replay(known, line.event):
                self._writer.fall_behind(known)
            elif known is not None and line.event.seq > known.buffer.last_seq:
                self._gaps.append(f"Event {line.event.seq} of command {line.command_id} is lost, as one before it is.")
        for entry in self._entries.values():
            self._take_up(entry)
        files = [file.path for entry in self._entries.values() for file in entry.payload.files]
        await self._blobs.expire({path for path in files if path is not None})
        await self.note_life()

    async def note_life(self) -> None:
        """See the port."""
        await self._writer.note_life(self._clock.sign_of_life())

    async def close(self) -> None:
        """Write what is not written yet and close the folder."""
        while self._changes:
            await asyncio.wait(self._changes)
        await self.note_life()
        await self._writer.close()

    async def submit(self, command: Command, payload: Payload, limit: int) -> int:
        """See the port."""
        queue = self._queue(command.queue)
        entry = self._new_entry(command, payload)
        if command.control and command.worker_id is not None:
            self._entries[command.command_id] = entry
            queue.control.setdefault(command.worker_id, deque()).append(command.command_id)
            self._hand_out(queue)
            return 0
        if len(queue) >= limit:
            raise QueueFullError(command.queue, len(queue), RETRY_AFTER_SECONDS)
        self._check_memory(entry, queue)
        self._entries[command.command_id] = entry
        if command.long:
            queue.arriving += 1
            return await self._change(entry, self._accept(entry, queue))
        return self._line_up(entry, queue)

    def _check_memory(self, entry: Entry, queue: _Queue) -> None:
        """Raise ``QueueFullError`` when there are large payloads enough; who sends little is not kept out by them."""
        if entry.payload_bytes <= _LARGE_PAYLOAD:
            return
        held = sum(other.payload_bytes for other in self._entries.values())
        if held + entry.payload_bytes > self._waiting_bytes:
            raise QueueFullError(entry.command.queue, len(queue), RETRY_AFTER_SECONDS, held)

    async def claim(self, queue: str, worker_id: str, room: Room, timeout: float) -> Claim | None:
        """See the port."""
        line = self._queue(queue)
        taken = line.take(worker_id, room)
        if taken is None and timeout > 0:
            taken = await self._wait_in(line, _Waiter(worker_id, room), timeout)
        return None if taken is None else self._start(taken, worker_id, room)

    def offer(self, queue: str) -> None:
        """See the port."""
        self._hand_out(self._queue(queue))

    async def requeue(self, command_id: str, *, counted: bool = True, worker_id: str | None = None) -> bool:
        """See the port."""
        entry = await self._settled(command_id)
        if entry is None or entry.command.state is not CommandState.RUNNING or _is_others(entry.command, worker_id):
            return False
        was = entry.command
        new = msgspec.structs.replace(was, state=CommandState.QUEUED, deliveries=was.deliveries - (not counted))
        queue = self._queue(new.queue)
        if new.control:
            queue.control.setdefault(new.worker_id or "", deque()).appendleft(command_id)
        else:
            new.worker_id = None
            queue.line(new).put_front(new.owner, command_id)
        entry.command = new
        entry.version += 1
        again = {"position": 0, "redelivery": True, "deliveries": new.deliveries}
        self._note(entry, NewEvent(EventKind.QUEUED, again))
        self._hand_out(queue)
        return True

    async def transition(
        self,
        command_id: str,
        expected: Iterable[CommandState],
        state: CommandState,
        change: Change,
        worker_id: str | None = None,
    ) -> Command | None:
        """See the port."""
        entry = await self._settled(command_id)
        if entry is None or entry.command.state not in expected or _is_others(entry.command, worker_id):
            return None
        was = entry.command
        new = msgspec.structs.replace(was, state=state, **_set_values(change))
        if state.ended:
            new.ended_at = self._clock.now()
        if was.state is CommandState.QUEUED:
            self._queue(was.queue).leave(was)
        if not new.long:
            return await self._become(entry, new)
        entry.next = new
        entry.version += 1
        return await self._change(entry, self._save(entry, new))

    async def append(self, command_id: str, events: list[NewEvent]) -> int:
        """See the port."""
        entry = self._entries.get(command_id)
        if entry is None or entry.latest.ended or entry.command.state is CommandState.QUEUED:
            return 0
        if entry.unsaved and entry.command.long:
            # Who runs it is on disk before anything it says is seen: after a restart that worker must be found.
            said_by = entry.command.worker_id
            with contextlib.suppress(StorageError):
                await self._writer.flush()
            if entry.latest.ended or entry.command.worker_id != said_by:
                return 0
        for event in events:
            self._note(entry, event)
        return entry.buffer.last_seq

    async def flush(self) -> None:
        """See the port."""
        await self._writer.flush()

    async def read(self, command_id: str, after: int, wait: float, most: int | None = None) -> EventPage | None:
        """See the port."""
        deadline = time.monotonic() + wait
        while (entry := self._entries.get(command_id)) is not None:
            events, gone, more = entry.buffer.after(after, most)
            left = deadline - time.monotonic()
            if events or entry.command.ended or left <= 0:
                return EventPage(events, entry.command.ended, gone, more)
            await entry.changed.wait(left)
        return None

    async def reply(self, command_id: str, text: bool = True) -> Reply | None:
        """See the port."""
        while (entry := self._entries.get(command_id)) is not None:
            reply, written = entry.buffer.reply(), entry.buffer.text
            if not text or not written.begun:
                return reply
            so_far = written.so_far()
            try:
                whole = so_far.rest if so_far.file is None else await asyncio.to_thread(so_far.read)
            except FileNotFoundError:  # it has begun anew, or was forgotten
                continue
            return msgspec.structs.replace(reply, text=whole)
        return None

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
        if entry.buffer.text.so_far().file is not None:
            await asyncio.to_thread(entry.buffer.text.clear)

    def _new_entry(self, command: Command, payload: Payload) -> Entry:
        return Entry(command, payload, ReplyBuffer(self._reply_bytes, ReplyText(self._text_memory, self._texts.new)))

    async def _settled(self, command_id: str) -> Entry | None:
        """Return a command once no change of it is on its way to disk: they are made one after the other."""
        while (entry := self._entries.get(command_id)) is not None and entry.changing:
            assert entry.change is not None
            await asyncio.wait({entry.change})
        return entry

    async def _change(self, entry: Entry, work: Coroutine[Any, Any, T]) -> T:
        """Make a change that waits for the disk: whole, and no other one of this command meanwhile."""
        task = begin(work)
        entry.change = task
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _accept(self, entry: Entry, queue: _Queue) -> int:
        try:
            await self._writer.save(entry)
        except StorageError:
            self._writer.give_up(entry)
            del self._entries[entry.command.command_id]
            raise
        finally:
            queue.arriving -= 1
        return self._line_up(entry, queue)

    def _line_up(self, entry: Entry, queue: _Queue) -> int:
        """Let a new command wait, and return how many wait before it."""
        command = entry.command
        line = queue.line(command)
        position = len(line)
        line.put(command.owner, command.command_id)
        if position:
            position = line.position(command.owner, command.command_id) or 0
        self._note(entry, NewEvent(EventKind.QUEUED, {"position": position}))
        self._hand_out(queue)
        return position

    async def _discard_files(self, payload: Payload) -> None:
        paths = [file.path for file in payload.files if file.path is not None]
        if paths:
            await self._blobs.delete(paths)

    def _queue(self, name: str) -> _Queue:
        key = name.lower()
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        return queue

    async def _wait_in(self, queue: _Queue, waiter: _Waiter, timeout: float) -> _Taken | None:
        queue.waiters[waiter] = None
        timer = asyncio.get_running_loop().call_later(timeout, waiter.settle, None)
        try:
            return await waiter.claimed
        except asyncio.CancelledError:
            if not waiter.claimed.cancelled() and (taken := waiter.claimed.result()) is not None:
                self._give_back(queue, taken, waiter)
            raise
        finally:
            timer.cancel()
            queue.waiters.pop(waiter, None)

    def _give_back(self, queue: _Queue, taken: _Taken, waiter: _Waiter) -> None:
        command_id, long = taken
        if long is not None:
            waiter.room.change(long, 1)
        entry = self._entries.get(command_id)
        if entry is not None and not entry.changing and entry.command.state is CommandState.QUEUED:
            if long is None:
                queue.control.setdefault(waiter.worker_id, deque()).appendleft(command_id)
            else:
                queue.line(entry.command).put_front(entry.command.owner, command_id)
        self._hand_out(queue)

    def _hand_out(self, queue: _Queue) -> None:
        """Give waiting commands to waiting workers, first come first served."""
        for waiter in list(queue.waiters):
            if waiter.claimed.done():
                continue
            taken = queue.take(waiter.worker_id, waiter.room)
            if taken is not None:
                del queue.waiters[waiter]
                waiter.settle(taken)

    def _start(self, taken: _Taken, worker_id: str, room: Room) -> Claim | None:
        """Mark a taken command as running. A long one is written soon, and before anything it says is seen."""
        entry = self._entries.get(taken[0])
        # A change that began between the handing out and now goes first; after it the command may wait again.
        if entry is None or entry.changing or entry.command.state is not CommandState.QUEUED:
            if taken[1] is not None:
                room.change(taken[1], 1)
            return None
        was = entry.command
        new = msgspec.structs.replace(
            was, state=CommandState.RUNNING, worker_id=worker_id, deliveries=was.deliveries + 1
        )
        entry.command = new
        entry.version += 1
        self._note(entry, NewEvent(EventKind.STARTED, {"delivery": new.deliveries}))
        return Claim(new, entry.payload)

    def _take_up(self, entry: Entry) -> None:
        """Go on with a command of the last run."""
        mend(entry, self._clock.now())
        closing = missing_end(entry)
        if closing is not None:
            self._note(entry, closing)
        if entry.command.state is CommandState.QUEUED:
            self._queue(entry.command.queue).line(entry.command).put(entry.command.owner, entry.command.command_id)

    async def _save(self, entry: Entry, new: Command) -> Command:
        """Write a long command's new record, then show it.

        Raises ``StorageError`` only for one that was not long before. What has been accepted goes on, and ends, also
        without a disk; it is written when there is one again.
        """
        promoted = not entry.command.long
        if promoted:
            entry.unwritten = list(entry.buffer.after(0)[0])
        try:
            await self._writer.save(entry)
        except StorageError:
            if promoted:
                self._writer.give_up(entry)
                self._wait_again(entry)
                raise
            self._writer.fall_behind(entry)
        finally:
            entry.next = None
        return await self._become(entry, new)

    async def _become(self, entry: Entry, new: Command) -> Command:
        """Show a command as it now is."""
        entry.command = new
        if entry.unwritten:
            self._writer.fall_behind(entry)
        if new.ended:
            self._note_end(entry)
        self._wait_again(entry)
        entry.changed.wake()
        entry.passed.wake()
        if new.ended:
            await self._discard_files(entry.take_payload())
        return new

    def _wait_again(self, entry: Entry) -> None:
        """A queued command that was changed is the next one, as it was taken out of its line for that."""
        command = entry.command
        if command.state is CommandState.QUEUED:
            queue = self._queue(command.queue)
            queue.line(command).put_front(command.owner, command.command_id)
            self._hand_out(queue)

    def _note(self, entry: Entry, event: NewEvent) -> None:
        noted = entry.buffer.append(event)
        if noted is None:
            return
        if entry.latest.long:
            self._writer.note(entry, noted)
        self._tell(entry.latest, noted)
        entry.changed.wake()

    def _note_end(self, entry: Entry) -> None:
        closing = missing_end(entry)
        if closing is not None:
            self._note(entry, closing)


def _is_others(command: Command, worker_id: str | None) -> bool:
    return worker_id is not None and command.worker_id != worker_id


def _set_values(change: Change) -> dict[str, object]:
    return {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not msgspec.UNSET}
