"""Who runs and who waits; the one thing that the engine's thread shares with others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from .errors import EngineStoppedError
from .slot import Slot

_CANCEL_S = 0.1


class Roster:
    """The chats of an engine. ``add``, ``stop`` and the counts may be used from any thread.

    Each running chat has a sequence of the context to itself, with room for all it may come to need, so that no reply
    that was begun has to be broken off. Chats for which there is none wait, in the order in which they came.
    """

    def __init__(self, slots: int) -> None:
        """``slots``: chats that may run at once."""
        self.running: list[Slot] = []
        self.stop_reason: str | None = None
        self._waiting: deque[Slot] = deque()
        self._slots = slots
        self._woken = False
        self._changed = threading.Condition()

    @property
    def waiting_count(self) -> int:
        """How many chats wait for a place."""
        return len(self._waiting)

    def add(self, slot: Slot) -> None:
        """Queue a chat. Raises ``EngineStoppedError`` when nobody will serve it any more."""
        with self._changed:
            if self.stop_reason is not None:
                raise EngineStoppedError(self.stop_reason)
            self._waiting.append(slot)
            self._changed.notify()

    def stop(self, reason: str) -> None:
        """Take no more chats, for this reason; the first reason stays."""
        with self._changed:
            self.stop_reason = self.stop_reason or reason
            self._changed.notify()

    def wake(self) -> None:
        """Let ``wait_for_work`` return once, whether there is a chat to serve or not."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    # Everything below is for the engine's thread.

    def wait_for_work(self, on_idle: Callable[[], None]) -> bool:
        """Return when there is something to do; False when it is time to stop."""
        with self._changed:
            while not (self._woken or self.stop_reason or self._can_step() or self._can_admit()):
                if self.running:  # they wait for the disk, and one of them may be cancelled meanwhile
                    self._changed.wait(_CANCEL_S)
                    break
                on_idle()
                self._changed.wait()
            self._woken = False
            return self.stop_reason is None

    def everyone(self) -> list[Slot]:
        """All chats, the running ones first."""
        with self._changed:
            return [*self.running, *self._waiting]

    def admit_next(self) -> Slot | None:
        """Let the first waiting chat run, if there is a place for it, and return it."""
        with self._changed:
            if not self._can_admit():
                return None
            slot = self._waiting.popleft()
            self.running.append(slot)
            return slot

    def remove(self, slot: Slot) -> None:
        """The chat has ended, wherever it was."""
        with self._changed:
            if slot in self.running:
                self.running.remove(slot)
            elif slot in self._waiting:
                self._waiting.remove(slot)

    def _can_step(self) -> bool:
        return any(slot.sequence is not None for slot in self.running)

    def _can_admit(self) -> bool:
        return bool(self._waiting) and len(self.running) < self._slots
