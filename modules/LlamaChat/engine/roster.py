"""Who runs and who waits; the one thing that the engine's thread shares with others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from .errors import EngineStoppedError
from .slot import Slot


class Roster:
    """The chats of an engine. ``add``, ``stop`` and the counts may be used from any thread.

    A chat is admitted only while the context can hold all that the running ones may come to need, so that it never
    has to break off a reply that was begun.
    """

    def __init__(self, slots: int, cells: int) -> None:
        """``slots``: chats that may run at once. ``cells``: tokens that the context holds."""
        self.running: list[Slot] = []
        self.stop_reason: str | None = None
        self._waiting: deque[Slot] = deque()
        self._slots = slots
        self._capacity = cells
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

    # Everything below is for the engine's thread.

    def wait_for_work(self, on_idle: Callable[[], None]) -> bool:
        """Return when there is a chat to serve; False when it is time to stop."""
        with self._changed:
            while not (self.running or self._waiting or self.stop_reason):
                on_idle()
                self._changed.wait()
            return self.stop_reason is None

    def everyone(self) -> list[Slot]:
        """All chats, the running ones first."""
        with self._changed:
            return [*self.running, *self._waiting]

    def admit_next(self) -> Slot | None:
        """Let the first waiting chat run, if there is a place for it, and return it."""
        with self._changed:
            if len(self.running) >= self._slots or not self._waiting:
                return None
            if self.running and self._reserved() + self._waiting[0].reserved > self._capacity:
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

    def put_back(self, slot: Slot) -> None:
        """Let a running chat wait again, as the first, because the context could not hold what was promised."""
        with self._changed:
            self.running.remove(slot)
            # Promise less from now on; else it would come straight back.
            self._capacity = min(self._capacity, self._reserved())
            self._waiting.appendleft(slot)

    def _reserved(self) -> int:
        return sum(slot.reserved for slot in self.running)
