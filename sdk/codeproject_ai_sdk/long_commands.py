"""The table of commands that are not finished, and the slots in which long ones run."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from typing import Any

from .common import JSON, LongProcess
from .request_data import RequestData


class Stage(Enum):
    """How far a command has come."""

    WAITING = "waiting"
    RUNNING = "running"
    LONG_WAITING = "long waiting"
    LONG_RUNNING = "long running"
    ENDED = "ended"


class RunningCommand:
    """One command from its arrival to its end. Its stage changes in one place at a time, and ends once."""

    def __init__(self, data: RequestData) -> None:
        self.data = data
        self.process: LongProcess | None = None
        self.answer: JSON | None = None
        self.interrupted = False
        """It was stopped because the process leaves, and not because somebody cancelled it."""
        self.told = False
        """The module was made to stop it by other ways than ``reply.cancelled``."""
        self._stage = Stage.WAITING
        self._lock = threading.Lock()
        self._future: Future[Any] | None = None

    @property
    def stage(self) -> Stage:
        """How far the command has come."""
        return self._stage

    @property
    def ended(self) -> bool:
        """True when its answer has been given."""
        return self._stage is Stage.ENDED

    @property
    def long(self) -> bool:
        """True once ``process()`` has returned a long process."""
        return self.process is not None

    @property
    def unfinished(self) -> bool:
        """True when its answer may be only what there was when the process decided to leave."""
        return self.interrupted and (self.told or self.data.reply.cancel_seen)

    def advance(self, before: Stage, after: Stage) -> bool:
        """Go from one stage to another; False when the command is not at the first one (any more)."""
        with self._lock:
            if self._stage is not before:
                return False
            self._stage = after
            return True

    def end(self, answer: JSON) -> Stage | None:
        """Claim the end, with this answer. Return the stage before, or None when it has ended already."""
        with self._lock:
            before = self._stage
            if before is Stage.ENDED:
                return None
            self._stage = Stage.ENDED
            self.answer = answer
            return before

    def set_future(self, future: Future[Any]) -> None:
        """Remember the coroutine that now runs for this command."""
        self._future = future
        if self.ended:
            future.cancel()

    def cancel_coroutine(self) -> None:
        """Cancel the coroutine that runs for this command, when there is one."""
        if self._future is not None:
            self.told = True
            self._future.cancel()


class CommandTable:
    """All commands that are not finished, and the last few finished long ones when polls come here."""

    def __init__(self, keep_ended: int) -> None:
        """``keep_ended``: how many finished long commands stay readable."""
        self._keep_ended = keep_ended
        self._lock = threading.Lock()
        self._live: dict[str, RunningCommand] = {}
        self._ended: OrderedDict[str, RunningCommand] = OrderedDict()

    def add(self, command: RunningCommand) -> bool:
        """Add a command; False when one of that id is there already."""
        command_id = command.data.command_id
        with self._lock:
            if command_id in self._live:
                return False
            self._live[command_id] = command
            return True

    def find(self, command_id: str) -> RunningCommand | None:
        """Return a command, finished long ones included."""
        with self._lock:
            return self._live.get(command_id) or self._ended.get(command_id)

    def remove(self, command: RunningCommand) -> None:
        """Take an ended command out; a long one stays readable for a while."""
        command_id = command.data.command_id
        with self._lock:
            self._live.pop(command_id, None)
            if command.long and self._keep_ended:
                self._ended[command_id] = command
                while len(self._ended) > self._keep_ended:
                    self._ended.popitem(last=False)

    def live(self) -> list[RunningCommand]:
        """Return the commands that have not ended."""
        with self._lock:
            return list(self._live.values())

    def has_long(self) -> bool:
        """Return whether any long command is known, finished ones included."""
        with self._lock:
            return bool(self._ended) or any(command.long for command in self._live.values())


class LongSlots:
    """Runs long commands, each in its own thread, so many at once and the others in order of arrival."""

    def __init__(self, count: int, run: Callable[[RunningCommand], None]) -> None:
        """``run`` is called in the command's thread; ``release`` must follow once for each run."""
        self._free = count
        self._run = run
        self._lock = threading.Lock()
        self._waiting: deque[RunningCommand] = deque()

    def submit(self, command: RunningCommand) -> None:
        """Run a command as soon as a slot is free."""
        with self._lock:
            self._waiting.append(command)
            chosen = self._choose()
        self._start(chosen)

    def release(self) -> None:
        """A run has ended, or has been given up: its slot is free."""
        with self._lock:
            self._free += 1
            chosen = self._choose()
        self._start(chosen)

    def _choose(self) -> list[RunningCommand]:
        chosen = []
        while self._free and self._waiting:
            command = self._waiting.popleft()
            if command.advance(Stage.LONG_WAITING, Stage.LONG_RUNNING):  # else cancelled while it waited
                self._free -= 1
                chosen.append(command)
        return chosen

    def _start(self, commands: list[RunningCommand]) -> None:
        for command in commands:
            name = f"millrace-long-{command.data.command_id}"
            threading.Thread(target=self._run, args=(command,), name=name, daemon=True).start()
