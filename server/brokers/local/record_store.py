"""Long commands on disk: their records, payloads and events, in diskcache with JSON values (never pickle).

A record survives the death of the server process (SQLite in WAL mode, ``synchronous=NORMAL``); a power cut may
lose the last moments. All calls run on one thread of their own, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
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

T = TypeVar("T")
Row = tuple[str, Any]
"""A key and its JSON value."""
_LIFE = "sign of life"
_FAILURES = (sqlite3.Error, OSError, diskcache.Timeout)


class StoredCommand(msgspec.Struct):
    """What the disk knows of one long command. ``chunks`` counts its event chunks."""

    command: Command
    payload: Payload
    events: list[Event]
    chunks: int


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
            damaged = type(error) is sqlite3.DatabaseError  # what a full disk causes has a class of its own
            raise StorageError(str(self._folder), str(error), damaged) from error

    def _open(self) -> list[StoredCommand]:
        self._cache = diskcache.Cache(
            str(self._folder),
            disk=diskcache.JSONDisk,
            eviction_policy="none",
            cull_limit=0,
            disk_compress_level=1,
        )
        with contextlib.suppress(ValueError, TypeError):
            self.last_sign_of_life = msgspec.convert(self._cache.get(_LIFE), SignOfLife)
        keys = [str(key) for key in self._cache.iterkeys() if str(key).startswith("command:")]
        found = [stored for key in keys if (stored := self._readable(key)) is not None]
        return sorted(found, key=lambda stored: stored.command.created_at)

    def _readable(self, key: str) -> StoredCommand | None:
        """No single row may keep a server from starting: one that cannot be read is set aside under another key."""
        try:
            return self._load(key)
        except (ValueError, TypeError, KeyError) as error:
            self.damaged.append(f"{key} in {self._folder} cannot be read and was set aside: {error}")
        with contextlib.suppress(ValueError, TypeError, KeyError):
            self._cache.set(f"damaged:{key}", self._cache[key])
            self._cache.delete(key)
        return None

    def _load(self, key: str) -> StoredCommand:
        command = _from_row(self._cache[key])
        payload = msgspec.convert(self._cache.get(f"payload:{command.command_id}") or {}, Payload)
        events: list[Event] = []
        chunks = 0
        while (chunk := self._cache.get(f"events:{command.command_id}:{chunks}")) is not None:
            events += msgspec.convert(chunk, list[Event])
            chunks += 1
        return StoredCommand(command, payload, events, chunks)

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


def life_row(moment: SignOfLife) -> Row:
    """Return the row of a sign of life."""
    return _LIFE, msgspec.to_builtins(moment)


def command_row(command: Command) -> Row:
    """Return the row of a record. The result is kept as the text the module sent: the same byte for byte."""
    row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(command, result=None))
    row["result"] = None if command.result is None else bytes(command.result).decode()
    return f"command:{command.command_id}", row


def payload_row(command_id: str, payload: Payload) -> Row:
    """Return the row of what the client sent."""
    return f"payload:{command_id}", msgspec.to_builtins(payload)


def chunk_row(command_id: str, number: int, events: list[Event]) -> Row:
    """Return the row of one batch of events; batches are numbered from 0."""
    return f"events:{command_id}:{number}", msgspec.to_builtins(events)


def _from_row(row: dict[str, Any]) -> Command:
    result = row.pop("result", None)
    command = msgspec.convert(row, Command)
    command.result = None if result is None else msgspec.Raw(result.encode())
    return command
