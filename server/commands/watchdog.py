"""Ends what nobody owns, so that no command is without an end, whatever was overlooked elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from .dispatcher import Dispatcher
from .workers import Worker, WorkerRegistry

LOOK_SECONDS = 10.0
SILENT_SECONDS = 300.0
"""After so long without a word, a process that the server did not start, and cannot watch, counts as gone."""


class Watchdog:
    """Looks at the running commands every few seconds. ``say`` gets a line for each one that it had to end."""

    def __init__(self, dispatcher: Dispatcher, workers: WorkerRegistry, say: Callable[[str], None]) -> None:
        self._dispatcher = dispatcher
        self._workers = workers
        self._say = say
        self._suspects: set[tuple[str, str | None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start looking."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self, now: float) -> None:
        """End what nobody owned at the last look either: what is just on its way is not meant. ``now``: monotonic."""
        for worker in self._workers.all():
            if worker.external and worker.running and now - worker.last_contact > SILENT_SECONDS:
                await self._give_up(worker)
        unowned = await self._dispatcher.unowned(self._workers.all())
        for command_id, worker_id in unowned & self._suspects:
            self._say(f"Command {command_id} was running on no process ({worker_id}) and was ended.")
            await self._dispatcher.lose_unowned(command_id, worker_id)
        self._suspects = unowned

    async def _give_up(self, worker: Worker) -> None:
        self._workers.remove(worker.worker_id)
        await self._dispatcher.worker_gone(worker, f"nothing was heard of it for {SILENT_SECONDS:g} s")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look(time.monotonic())
