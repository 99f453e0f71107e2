"""Long commands on disk: their records, payloads and events, in diskcache with JSON values (never pickle).

A record survives the death of the server process (SQLite in WAL mode, ``synchronous=NORMAL``); a power cut may
lose the last moments. All calls run on one thread of their own, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import diskcache
import msgspec

from ...commands.clock import SignOfLife
from ...commands.command import Command, Payload
from ...commands.errors import StorageError
from ...commands.reply_buffer import Event
from ...private_files import FILE_MODE, opener, private_folder
from ...set_aside import only_file, only_folder, set_aside
from .stored_commands import LIFE, DamagedRows, StoredCommand, sorted_out
from .stored_rows import StoredRow, read_rows, rescue_rows

T = TypeVar("T")
Row = tuple[str, Any]
"""A key and its JSON value."""
_FAILURES = (sqlite3.Error, OSError, diskcache.Timeout)
_LITTLE = 1024 * 1024
"""Bytes; a disk with fewer free ones is full."""


_UNFIT = re.compile(r"[^A-Za-z0-9-]")
"""What the name of a row may hold, if it is damaged, and the name of a file may not."""


class RecordStore:
    """The folder of records; opened once, used from the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="records")
        self._cache: Any = None
        self.last_sign_of_life: SignOfLife | None = None
        self.damaged: list[str] = []
        """What could not be read when the folder was opened, in words."""

    async def open(self) -> list[StoredCommand]:
        """Open the folder and return every command in it that can be read, oldest first; see ``damaged``."""
        return await self._run(self._open)

    async def close(self) -> None:
        """Close the folder after everything asked for so far is written."""
        if self._cache is not None:
            await self._run(self._cache.close)
        self._thread.shutdown(wait=False)

    async def write(self, rows: list[Row]) -> None:
        """Write rows in one transaction; they are on disk when this returns. Raises ``StorageError``: then none is."""
        await self._run(lambda: self._write(rows))

    async def delete(self, command_id: str) -> None:
        """Remove everything of a command, in one transaction. Raises ``StorageError``: then all is still there."""
        await self._run(lambda: self._delete(command_id))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except _FAILURES as error:
            full = await asyncio.to_thread(_is_full, error, self._folder)
            damaged = type(error) is sqlite3.DatabaseError  # what the disk causes has a class of its own
            raise StorageError(str(self._folder), str(error), damaged=damaged, full=full) from error

    def _open(self) -> list[StoredCommand]:
        self._say(only_folder(self._folder))
        private_folder(self._folder)
        database = self._folder / diskcache.core.DBNAME
        self._say(only_file(database))
        try:
            return self._sorted_out(self._opened(), lossy=False)
        except sqlite3.DatabaseError as error:
            if _of_the_disk(error) or _is_full(error, self._folder):
                raise
            return self._sorted_out(self._rescued(database, error), lossy=True)

    def _sorted_out(self, rows: list[StoredRow], *, lossy: bool) -> list[StoredCommand]:
        found, damaged = sorted_out(rows, lossy=lossy)
        for one in damaged:
            self._set_aside(one)
        self._remove(found.without_command)  # left by a kill
        self._remove_strays({row.filename for row in rows})
        self.last_sign_of_life = found.life
        return sorted(found.commands, key=lambda stored: stored.command.created_at)

    def _opened(self) -> list[StoredRow]:
        """Open the database, if it is whole, and return its rows. Raises ``sqlite3.DatabaseError``."""
        (self._folder / diskcache.core.DBNAME).touch(FILE_MODE)  # its companions get the same rights
        try:
            self._cache = diskcache.Cache(
                str(self._folder),
                disk=_PrivateDisk,
                eviction_policy="none",
                cull_limit=0,
                disk_compress_level=1,
            )
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise sqlite3.DatabaseError(f"its settings cannot be read: {error}") from error
        ((verdict,),) = self._cache._sql("PRAGMA integrity_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return self._rows()

    def _rows(self) -> list[StoredRow]:
        return list(read_rows(self._cache._con, self._folder))

    def _rescued(self, database: Path, error: sqlite3.DatabaseError) -> list[StoredRow]:
        """Set a damaged database aside, and begin a new one with what can still be read of it."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        aside = set_aside(database)
        for ending in ("-wal", "-shm"):
            companion = database.with_name(database.name + ending)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + ending))
        rescued: list[StoredRow] = []
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(aside)) as old:
            rescued = [row for row in rescue_rows(old, self._folder) if not row.why]
        self._opened()
        self._write([(row.key, row.value) for row in rescued])
        commands = sum(row.key.startswith("command:") for row in rescued)
        self._say(
            f"{database} is damaged ({error}) and is now {aside.name}. {commands} commands could be read from it; "
            "whatever else was in it is lost."
        )
        return self._rows()

    def _set_aside(self, one: DamagedRows) -> None:
        """Put what cannot be read into a folder of its own, where nobody reads it."""
        folder = self._folder / "damaged"
        self._say(f"{one.what} cannot be read and was set aside in {folder}: {one.why}. {one.lost}")
        try:
            private_folder(folder)
            for row in one.rows:
                name = f"{_UNFIT.sub('-', row.key)[:100] or 'row'}-{row.rowid}"
                with open(folder / name, "wb", opener=opener) as file:
                    file.write(row.content)
            self._remove(one.rows)
        except (OSError, sqlite3.OperationalError, diskcache.Timeout) as error:
            self._say(f"It could not be moved there, and stays where it is: {error}.")

    def _remove_strays(self, known: set[str | None]) -> None:
        """Remove files that a kill left before their row was written, or after it was removed."""
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*/*.val"):
            if str(path.relative_to(self._folder)) not in known:
                path.unlink(missing_ok=True)

    def _remove(self, rows: list[StoredRow]) -> None:
        with self._cache.transact():
            for row in rows:
                self._cache._sql("DELETE FROM Cache WHERE rowid = ?", (row.rowid,))
        for row in rows:
            if row.filename is not None:
                (self._folder / row.filename).unlink(missing_ok=True)

    def _say(self, text: str) -> None:
        if text:
            self.damaged.append(text)

    def _delete(self, command_id: str) -> None:
        with self._cache.transact():
            for key in (f"command:{command_id}", f"payload:{command_id}"):
                self._cache.delete(key)
            number = 0
            while self._cache.delete(f"events:{command_id}:{number}"):
                number += 1

    def _write(self, rows: list[Row]) -> None:
        with self._cache.transact():
            for key, value in rows:
                self._cache.set(key, value)


class _PrivateDisk(diskcache.JSONDisk):  # type: ignore[misc]
    """Values as JSON; those that are too large for a row are files that only this user may read."""

    def _write(self, full_path: str, iterator: Any, mode: str, encoding: str | None = None) -> Any:
        for folder in (Path(full_path).parent.parent, Path(full_path).parent):
            private_folder(folder)
        size = super()._write(full_path, iterator, mode, encoding)
        os.chmod(full_path, FILE_MODE)
        return size


def _of_the_disk(error: sqlite3.DatabaseError) -> bool:
    """Whether an error says nothing of the content: somebody else has the database, or it may not be written."""
    return any(word in str(error) for word in ("locked", "readonly", "unable to open"))


def _is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # What a full disk does to the database's companions is called an I/O error.
    return "full" in str(error) or ("I/O error" in str(error) and shutil.disk_usage(folder).free < _LITTLE)


def life_row(moment: SignOfLife) -> Row:
    """Return the row of a sign of life."""
    return LIFE, msgspec.to_builtins(moment)


def command_row(command: Command, last_seq: int) -> Row:
    """Return the row of a record, which says up to which number its events are in the store with it.

    The result is kept as the text the module sent: the same byte for byte.
    """
    row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(command, result=None))
    row["last_seq"] = last_seq
    row["result"] = None if command.result is None else bytes(command.result).decode()
    return f"command:{command.command_id}", row


def payload_row(command_id: str, payload: Payload) -> Row:
    """Return the row of what the client sent."""
    return f"payload:{command_id}", msgspec.to_builtins(payload)


def chunk_row(command_id: str, number: int, events: list[Event]) -> Row:
    """Return the row of one batch of events; batches are numbered from 0."""
    return f"events:{command_id}:{number}", msgspec.to_builtins(events)
