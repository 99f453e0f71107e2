"""A real record store behind a gate: the test says when a write goes on, and which ones the disk does not take."""

from __future__ import annotations

import asyncio
from pathlib import Path

from server.brokers.local.record_store import RecordStore, Row
from server.commands.errors import StorageError


class SlowDisk(RecordStore):
    """Writes and deletions wait while the gate is shut; the next ``refusing`` ones then fail, with nothing written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusing = 0
        self.arrived = asyncio.Event()
        """Something stands at the gate, or has."""

    async def write(self, rows: list[Row]) -> None:
        await self._pass("write")
        await super().write(rows)

    async def delete(self, command_id: str) -> None:
        await self._pass("delete")
        await super().delete(command_id)

    def shut(self) -> None:
        """Let nothing through until the gate is set."""
        self.gate.clear()
        self.arrived.clear()

    async def _pass(self, what: str) -> None:
        self.arrived.set()
        await self.gate.wait()
        if self.refusing:
            self.refusing -= 1
            raise StorageError("the test's disk", f"no {what} now")
