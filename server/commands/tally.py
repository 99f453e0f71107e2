"""The tally: how many commands of each module ended how, how much they wrote and how long they took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from ..histogram import Histogram
from .command import Command
from .errors import CommandError, ModuleUnavailableError, NotAcceptingError, QueueFullError, StorageError
from .reply_buffer import Event, EventKind

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_REFUSALS: dict[type[CommandError], str] = {
    QueueFullError: "queue_full",
    NotAcceptingError: "server_stopping",
    ModuleUnavailableError: "module_not_running",
    StorageError: "storage",
}
_SAID = frozenset({EventKind.DELTA, EventKind.FIELDS})


class ModuleTally:
    """One module's. The histograms are of seconds."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str]] = Counter()
        """Commands by final state and reason; the reason of a completed one is empty."""
        self.refused: Counter[str] = Counter()
        """Commands that were not accepted, by what was in the way."""
        self.pieces = 0
        self.characters = 0
        self.queued = Histogram(_BOUNDS)
        self.running = Histogram(_BOUNDS)
        self.first_text = Histogram(_BOUNDS)


class _Life:
    """When something happened to a command that has not ended."""

    def __init__(self, now: float) -> None:
        self.accepted = now
        self.started: float | None = None
        self.has_text = False


class Tally:
    """Counts from the events of the reply buffers. Commands that the server sends by itself do not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.modules: dict[str, ModuleTally] = {}
        self._lives: dict[str, _Life] = {}
        self._clock = clock

    def of(self, module_id: str) -> ModuleTally:
        """Return the tally of a module."""
        found = self.modules.get(module_id)
        if found is None:
            found = self.modules[module_id] = ModuleTally()
        return found

    def refuse(self, module_id: str, refusal: CommandError) -> None:
        """Count a command that was not accepted."""
        self.of(module_id).refused[_REFUSALS.get(type(refusal), "other")] += 1

    def note(self, command: Command, event: Event) -> None:
        """Count an event."""
        if command.control:
            return
        module = self.of(command.module_id)
        if event.kind is EventKind.DELTA:
            module.pieces += 1
            module.characters += len(event.data)
            self._first_text(command, module)
        elif event.kind is EventKind.QUEUED:
            self._lives.setdefault(command.command_id, _Life(self._clock()))
        elif event.kind is EventKind.STARTED:
            self._start(command, module)
        elif event.kind not in _SAID:
            self._end(command, module)

    def _first_text(self, command: Command, module: ModuleTally) -> None:
        life = self._lives.get(command.command_id)
        if life is not None and not life.has_text:
            life.has_text = True
            module.first_text.note(self._clock() - life.accepted)

    def _start(self, command: Command, module: ModuleTally) -> None:
        life = self._lives.get(command.command_id)
        if life is not None and life.started is None:
            life.started = self._clock()
            module.queued.note(life.started - life.accepted)

    def _end(self, command: Command, module: ModuleTally) -> None:
        module.ended[command.state.value, command.reason or ""] += 1
        life = self._lives.pop(command.command_id, None)
        if life is not None and life.started is not None:
            module.running.note(self._clock() - life.started)
