"""Retention: when an ended command is forgotten, and when a waiting one has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from .broker import Broker
from .clock import Clock
from .command import LIVE, Change, Command, CommandState, Reason
from .errors import StorageError

SWEEP_SECONDS = 10.0
QUICK_SECONDS = 60.0
"""A quick command whose client never fetched its answer is forgotten after this time."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    reply: float
    """How long the events of an ended long command can be read again."""
    result: float
    """How long an ended long command can still be polled."""
    waiting: float
    """The longest wait in a queue."""


class Retention:
    """Sweeps the broker's records every few seconds."""

    def __init__(self, broker: Broker, settings: RetentionSettings, clock: Clock | None = None) -> None:
        self._broker = broker
        self._clock = clock or Clock()
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start sweeping."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self, now: float) -> None:
        """Forget and expire what is due. ``now``: the time by the clock of the records."""
        for command in await self._broker.records():
            if self._forgettable(command, now):
                with contextlib.suppress(StorageError):  # the next sweep tries again
                    await self._broker.forget(command.command_id)
            elif command.ended_at is not None and now - command.ended_at > self._settings.reply:
                await self._broker.trim(command.command_id)
            elif self._waited_too_long(command, now):
                await self._expire(command)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.sweep(self._clock.now())
            await self._broker.note_life()

    def _forgettable(self, command: Command, now: float) -> bool:
        if command.ended_at is None:
            return False
        return now - command.ended_at > (self._settings.result if command.long else QUICK_SECONDS)

    def _waited_too_long(self, command: Command, now: float) -> bool:
        waiting = command.state is CommandState.QUEUED and not command.control
        return waiting and now - command.created_at > self._settings.waiting

    async def _expire(self, command: Command) -> None:
        error = f"The command waited {self._settings.waiting:.0f} s in its queue without being served."
        change = Change(reason=Reason.TIMEOUT.value, error=error)
        await self._broker.transition(command.command_id, LIVE, CommandState.EXPIRED, change)
