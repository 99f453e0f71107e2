"""The workers of module processes that somebody has started by hand. No supervisor looks after them, so this does.

``python -m server modules run`` tells of its process in the data folder (``hand_starts.py``). Other processes, such as
one under an IDE, are let in by the setting ``external_modules``: of those only their polls are known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..commands.dispatcher import Dispatcher
from ..commands.workers import Worker, WorkerRegistry
from ..hand_starts import HandStart, living_starts

SILENT_SECONDS = 300.0
"""A process that has not been heard for so long has ended, as far as anybody can tell."""
_LOOK_SECONDS = 1.0
_PARALLELISM = 64

QueueOf = Callable[[str], str | None]
"""Returns the queue of a module by its id in any letter case; ``None`` when there is no such module."""


class ByHand:
    """Knows these workers from their first word to their end."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        workers: WorkerRegistry,
        queue_of: QueueOf,
        data_dir: Path,
        admitted: Iterable[str] = (),
    ) -> None:
        """``admitted``: ids of modules whose processes on this machine are believed without a proof."""
        self._dispatcher = dispatcher
        self._workers = workers
        self._queue_of = queue_of
        self._data_dir = data_dir
        self._admitted = {module_id.lower() for module_id in admitted}
        self._starts: dict[str, HandStart | None] = {}
        """By worker; ``None`` for those that are let in by the setting."""
        self._watching: asyncio.Task[None] | None = None

    def admits(self, module_id: str) -> bool:
        """Whether the settings let in whoever says that it is this module."""
        return module_id.lower() in self._admitted

    def admitted_worker(self, module_id: str) -> Worker | None:
        """Return the worker of a module that the settings let in; ``None`` when the server has no such module."""
        worker_id = f"external:{module_id.lower()}"
        return self._workers.get(worker_id) or self._add(worker_id, module_id, None)

    async def look(self) -> None:
        """Take up what has been started since the last look."""
        for start in await asyncio.to_thread(living_starts, self._data_dir):
            if self._workers.get(start.launch_id) is None:
                self._add(start.launch_id, start.module_id, start)

    async def kill(self, worker_id: str) -> bool:
        """End a process that did not stop in time; whether it is one of these. One that cannot be ended is left."""
        if worker_id not in self._starts:
            return False
        start = self._starts[worker_id]
        if start is not None:
            await asyncio.to_thread(start.end_children)
        await self._gone(worker_id, "it did not stop a cancelled command in time")
        return True

    async def close(self) -> None:
        """Watch no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _add(self, worker_id: str, module_id: str, start: HandStart | None) -> Worker | None:
        queue = self._queue_of(module_id)
        if queue is None:
            return None
        worker = Worker(
            worker_id=worker_id,
            module_id=module_id,
            queue=queue,
            secret="" if start is None else start.secret,
            pid=None if start is None else start.pid,
            external=True,
            parallelism=_PARALLELISM,
        )
        self._starts[worker_id] = start
        self._workers.add(worker)
        self._watching = self._watching or asyncio.create_task(self._watch())
        return worker

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for worker_id, start in list(self._starts.items()):
                if await asyncio.to_thread(self._has_ended, worker_id, start):
                    await self._gone(worker_id, "its process, which was started by hand, has ended")

    def _has_ended(self, worker_id: str, start: HandStart | None) -> bool:
        worker = self._workers.get(worker_id)
        if worker is None or start is not None:
            return start is None or not start.lives
        return worker.heard and time.monotonic() - worker.last_contact > SILENT_SECONDS

    async def _gone(self, worker_id: str, why: str) -> None:
        self._starts.pop(worker_id, None)
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.room.closed = True
            await self._dispatcher.worker_gone(worker, why)
            self._workers.remove(worker_id)
