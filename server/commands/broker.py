"""The broker port: where commands wait and where their records and reply buffers live.

Everything the heart asks of a broker is here, and nothing else; one contract suite (``tests/contract/``)
runs against every implementation. A broker knows no HTTP and no processes, and decides no policy: it keeps,
hands out, and changes state by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from .command import Change, Command, CommandState, Payload
from .errors import StorageError
from .reply_buffer import Event, EventPage, NewEvent, Reply
from .workers import Room


class Claim(msgspec.Struct, frozen=True):
    """A command handed to a worker, now ``running``, with what its client sent."""

    command: Command
    payload: Payload


OnEvent = Callable[[Command, Event], None]
"""Called with each event of a reply buffer as it is noted, and the record as it is then."""
OnUnwritable = Callable[[list[str], StorageError], Awaitable[None]]
"""Called with the ids of long commands whose events cannot be written to disk, and why."""


class Broker(Protocol):
    """Where commands wait and records live."""

    def on_unwritable(self, tell: OnUnwritable) -> None:
        """Say who is told when events of long commands cannot be written. They are kept, and tried again."""

    def on_event(self, tell: OnEvent) -> None:
        """Say who is told of every event."""

    async def open(self) -> None:
        """Start; read back what survived the last run. Called once, before anything else."""

    async def note_life(self) -> None:
        """Note on disk that the server lives, so that the next start knows for how long nobody ran."""

    async def close(self) -> None:
        """Write what is not written yet, and let go of everything. Waiting callers are cancelled."""

    async def submit(self, command: Command, payload: Payload, limit: int) -> int:
        """Place a command on its queue and return how many wait before it.

        A long command is on disk when this returns. Raises ``QueueFullError`` when ``limit`` commands wait already,
        and ``StorageError`` when the disk does not take it; then nothing of it is kept.
        """

    async def claim(self, queue: str, worker_id: str, room: Room, timeout: float) -> Claim | None:
        """Take the next command that fits, waiting up to ``timeout`` seconds for one; ``None`` when none came.

        Control commands for this worker come first, then round robin between owners. ``room`` is read, and lowered,
        at the moment a command is handed out. Cancelling the call never loses a command.
        """

    def offer(self, queue: str) -> None:
        """Look again whether a waiting claim can be served: some worker's room has grown."""

    async def requeue(self, command_id: str, *, counted: bool = True, worker_id: str | None = None) -> bool:
        """Put a running command back to the front of its queue; false when it is not running any more.

        ``counted``: its last delivery stays among its deliveries; otherwise it is as if there had been none.
        ``worker_id``: only while it runs on this worker.
        """

    async def transition(
        self,
        command_id: str,
        expected: Iterable[CommandState],
        state: CommandState,
        change: Change,
        worker_id: str | None = None,
    ) -> Command | None:
        """Move a command from one of the expected states to ``state``; ``None`` when it is in another one.

        The changes of one command are made one after the other, each whole, also when its caller is cancelled: one
        that waits for the disk is waited for before this one is decided. ``worker_id``: only while that worker has it.
        What a reader sees of a long command is on disk before it is seen. An end appends the closing event. Raises
        ``StorageError`` when the disk does not take a command that becomes a long one; then nothing has changed.
        """

    async def append(self, command_id: str, events: list[NewEvent]) -> int:
        """Append events to the reply buffer and return its last number; repeats (by ``n``) are dropped.

        What a reader sees of a long command's events is there again after the server was killed.
        """

    async def flush(self) -> None:
        """Return when every event appended so far to a long command's buffer is on disk. Raises ``StorageError``."""

    async def read(self, command_id: str, after: int, wait: float, most: int | None = None) -> EventPage | None:
        """Return the events after number ``after``, at most ``most``; waits up to ``wait`` seconds for the first.

        ``None``: the command is unknown.
        """

    async def reply(self, command_id: str, text: bool = True) -> Reply | None:
        """Return text and fields so far; ``None`` when the command is unknown. ``text``: whether it is asked for."""

    async def last_n(self, command_id: str) -> int:
        """Return the highest module-side event number that arrived."""

    async def get(self, command_id: str) -> Command | None:
        """Return the record, or ``None``."""

    async def milestone(self, command_id: str, timeout: float) -> Command | None:
        """Wait until the command is long and claimed, or has ended; return its record as it then is."""

    async def position(self, command_id: str) -> int | None:
        """Return how many commands are served before this queued one, or ``None`` when it is not queued."""

    async def records(self) -> list[Command]:
        """Return every record, oldest first."""

    async def trim(self, command_id: str) -> None:
        """Drop an ended command's events but the closing one; its record, text and fields stay."""

    async def forget(self, command_id: str) -> None:
        """Drop the record of an ended command, its payload and its reply buffer, here and on disk."""
