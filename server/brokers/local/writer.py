"""Brings long commands to disk: what a client sees survives a killed server, at the cost of one batch every 50 ms."""

from __future__ import annotations

import asyncio
import contextlib

from ...commands.broker import OnUnwritable
from ...commands.clock import SignOfLife
from ...commands.errors import StorageError
from ...commands.reply_buffer import Event
from ...commands.whole import whole
from .entry import Entry
from .journal import Journal, JournalLine
from .record_store import RecordStore, Row, chunk_row, command_row, life_row, payload_row
from .stored_commands import StoredCommand

FLUSH_SECONDS = 0.05
RETRY_SECONDS = 1.0
"""How long to wait when the disk did not take something."""


class Writer:
    """Knows what is not in the store yet. Every method runs on the event loop.

    ``on_unwritable`` is told which commands have events that could not be written. Those stay here and are tried again.
    """

    def __init__(self, store: RecordStore, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._behind: dict[str, Entry] = {}
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None
        self.on_unwritable: OnUnwritable | None = None

    @property
    def damaged(self) -> list[str]:
        """What could not be read back, in words."""
        return self._store.damaged + self._journal.damaged

    @property
    def last_sign_of_life(self) -> SignOfLife | None:
        """What the last run noted last; ``None`` when there was none, or it was of an earlier version."""
        return self._store.last_sign_of_life

    async def note_life(self, moment: SignOfLife) -> None:
        """Note a sign of life; one that the disk does not take is made up for by the next."""
        with contextlib.suppress(StorageError):
            await self._store.write([life_row(moment)])

    async def open(self) -> tuple[list[StoredCommand], list[JournalLine]]:
        """Return what the last run left in the store, and in the journal."""
        stored = await self._store.open()
        return stored, await asyncio.to_thread(self._journal.open)

    async def close(self) -> None:
        """Write what is not written yet, if the disk takes it, and close everything."""
        if self._flusher is not None:
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
        with contextlib.suppress(StorageError):
            await self.flush()
        async with self._writing:
            await self._store.close()
            self._journal.close()

    def note(self, entry: Entry, event: Event) -> None:
        """An event is about to be seen, of a long command or of one that is about to become one."""
        self._journal.note(entry.command.command_id, event)
        entry.unwritten.append(event)
        if entry.command.long:
            self.fall_behind(entry)

    def fall_behind(self, entry: Entry) -> None:
        """Something of a long command is to be written soon."""
        self._behind[entry.command.command_id] = entry
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon())

    async def flush(self) -> None:
        """Return when everything noted so far is in the store. Raises ``StorageError``; then it is tried again."""
        # Whole: a batch that is written, but not counted, would be written over by the next one.
        await whole(self._flush())

    async def _flush(self) -> None:
        async with self._writing:
            behind, self._behind = self._behind, {}
            if not behind:
                return
            self._journal.turn()
            await self._write(list(behind.values()))
            await asyncio.to_thread(self._journal.stored)

    async def save(self, entry: Entry) -> None:
        """Write one command's latest record, with all that belongs to it. Raises ``StorageError``."""
        await whole(self._save(entry))

    async def _save(self, entry: Entry) -> None:
        async with self._writing:
            await self._write([entry])

    def give_up(self, entry: Entry) -> None:
        """A command is not accepted, or does not become a long one: nothing of it is to be written."""
        self._behind.pop(entry.command.command_id, None)
        entry.unwritten, entry.saved = [], entry.version

    async def forget(self, entry: Entry) -> None:
        """Remove everything of a command. Raises ``StorageError``; then it is still there."""
        await whole(self._forget(entry))

    async def _forget(self, entry: Entry) -> None:
        async with self._writing:
            await self._store.delete(entry.command.command_id)
            self._behind.pop(entry.command.command_id, None)

    async def _write(self, entries: list[Entry]) -> None:
        """Write what these lack, in one transaction: all of it, or nothing."""
        rows: list[Row] = []
        taken = []
        for entry in entries:
            events, entry.unwritten = entry.unwritten, []
            taken.append((entry, events, entry.version))
            rows += _rows(entry, events)
        try:
            await self._store.write(rows)
        except StorageError:
            for entry, events, _ in taken:
                entry.unwritten[:0] = events
                self._behind[entry.command.command_id] = entry
            raise
        for entry, events, version in taken:
            entry.chunks += 1 if events else 0
            entry.stored_seq = events[-1].seq if events else entry.stored_seq
            entry.saved = max(entry.saved, version)
            entry.payload_stored = True

    async def _flush_soon(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        while self._behind:
            try:
                await self.flush()
            except StorageError as error:
                if self.on_unwritable is not None:
                    await self.on_unwritable(self._cut_off(), error)
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(FLUSH_SECONDS)

    def _cut_off(self) -> list[str]:
        return [cid for cid, entry in self._behind.items() if entry.unwritten and not entry.latest.ended]


def _rows(entry: Entry, events: list[Event]) -> list[Row]:
    command = entry.latest
    last_seq = events[-1].seq if events else entry.stored_seq
    rows = [command_row(command, last_seq)] if entry.unsaved or not entry.payload_stored else []
    if not entry.payload_stored:
        rows.append(payload_row(command.command_id, entry.payload))
    if events:
        rows.append(chunk_row(command.command_id, entry.chunks, events))
    return rows
