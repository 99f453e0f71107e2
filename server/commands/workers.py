"""Workers: the module processes that take commands, as far as the server hears from them.

The API layer notes what a worker says; the supervisor reads it. A worker id is the launch id of a process
the server started, or ``external:<module id>`` for one that a developer started by hand.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec

MAX_STATUS_BYTES = 256 * 1024
"""Of what a module says of its state: dashboards ask for that of all modules every few seconds."""


class Room(msgspec.Struct):
    """How many more commands of each sort a worker can take; read and lowered by the broker as it hands them out.

    Below zero when a quick command has turned out to be a long one. Control commands need no room.
    """

    quick: int = 0
    long: int = 0
    closed: bool = False
    """The worker is to end: it gets nothing more, however little it runs."""
    quick_only: bool = False
    """The server is to end: what takes long waits for its next start."""

    def fits(self, long: bool) -> bool:
        """Whether there is room for a command of this sort."""
        if self.closed or (long and self.quick_only):
            return False
        return (self.long if long else self.quick) > 0

    def change(self, long: bool, by: int) -> None:
        """Add to the room for this sort of command."""
        if long:
            self.long += by
        else:
            self.quick += by


class Worker(msgspec.Struct, kw_only=True):
    """One module process. ``kind`` is how it connects: ``channel``, ``queue``, or ``none`` so far."""

    worker_id: str
    module_id: str
    queue: str
    secret: str = ""
    """What its process, and nobody else, can prove itself with."""
    pid: int | None = None
    """The process that was started; ``None`` when it is not known."""
    external: bool = False
    """Somebody started its process by hand: no supervisor looks after it."""
    kind: str = "none"
    connected: bool = False
    heard: bool = False
    """The process has made contact since its launch."""
    initialised: bool = False
    """The module has said that it takes commands (channel only)."""
    dismissed: str = ""
    """Why the server has told its process to end; empty when it has not."""
    marks_unfinished: bool = False
    """Its results say when they are not whole because the process was told to end (channel only)."""
    obstacle: str = ""
    """Why the module cannot do its work, as it says itself (channel only); ``passing``: that will end by itself."""
    passing: bool = False
    failure: str | None = None
    """What its process did that makes it useless: it is to be stopped, and started anew."""
    parallelism: int = 1
    started_at: float = msgspec.field(default_factory=time.time)
    last_seen: float = 0.0
    """By the time of day, to be shown."""
    last_contact: float = 0.0
    """The same by the monotonic clock, to be measured with."""
    request_count: int = 0
    room: Room = msgspec.field(default_factory=Room)
    running: dict[str, bool] = msgspec.field(default_factory=dict)
    """The commands it was given, and whether each takes the room of a long one. No control commands."""
    owners: dict[str, str] = msgspec.field(default_factory=dict)
    """Whose these commands are."""
    status_data: msgspec.Raw | None = None

    def show_status(self, data: bytes | msgspec.Raw) -> None:
        """Keep what the module says of its state, a JSON object, unless it is too long for every list of modules."""
        raw = bytes(data)
        if len(raw) <= MAX_STATUS_BYTES:
            self.status_data = msgspec.Raw(raw)


class WorkerRegistry:
    """The living workers by id, and who wants to know when one is first heard or goes away."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._secrets: dict[bytes, Worker] = {}
        self._changed = asyncio.Condition()
        self.on_gone: list[Callable[[str], None]] = []

    def add(self, worker: Worker) -> None:
        """Register a worker; the supervisor calls this before it starts the process."""
        self._workers[worker.worker_id] = worker
        if worker.secret:
            self._secrets[_digest(worker.secret)] = worker

    def remove(self, worker_id: str) -> None:
        """Forget a worker whose process has ended."""
        worker = self._workers.pop(worker_id, None)
        if worker is not None:
            self._secrets.pop(_digest(worker.secret), None)
        for callback in self.on_gone:
            callback(worker_id)

    def get(self, worker_id: str) -> Worker | None:
        """Return the worker, or ``None``."""
        return self._workers.get(worker_id)

    def of_module(self, module_id: str) -> Worker | None:
        """Return the newest worker of a module (any letter case), or ``None``."""
        found = None
        for worker in self._workers.values():
            if worker.module_id.lower() == module_id.lower():
                found = worker
        return found

    def all(self) -> list[Worker]:
        """Return every worker."""
        return list(self._workers.values())

    def authenticate(self, worker_id: str, module_id: str, secret: str) -> Worker | None:
        """Return the worker that this launch secret belongs to, or ``None``."""
        worker = self._workers.get(worker_id)
        if worker is None or not worker.secret or worker.module_id != module_id:
            return None
        return worker if hmac.compare_digest(_digest(worker.secret), _digest(secret)) else None

    def by_secret(self, secret: str) -> Worker | None:
        """Return the worker whose launch secret this is, or ``None``. How long that takes tells nothing of a secret."""
        return self._secrets.get(_digest(secret)) if secret else None

    async def note_contact(self, worker: Worker) -> None:
        """Record that the worker was heard from just now, and wake those who wait for its first word."""
        worker.last_seen, worker.last_contact = time.time(), time.monotonic()
        if not worker.heard:
            worker.heard = True
            await self.announce()

    async def give_up(self, worker: Worker, why: str) -> None:
        """Let the supervisor stop a process that does not keep to the protocol; the first reason counts."""
        worker.failure = worker.failure or why
        await self.announce()

    async def announce(self) -> None:
        """Wake everybody who waits for a worker to change."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is looked at whenever a worker changes."""
        async with self._changed:
            await self._changed.wait_for(condition)


def _digest(secret: str) -> bytes:
    """What is compared in place of a secret, which may be any text: how long that takes tells nothing of it."""
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).digest()
