"""Choosing what to copy out of the context for the disk, and when, so that the chats do not notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from .prompt_cache import PromptCache
from .sequence_state import State
from .sequences import Sequence

_BUSY_SHARE = 0.05


class StateSource(Protocol):
    """The part of the native context that copies states."""

    @property
    def piece_tokens(self) -> int:
        """Tokens in a full piece; 0 where only a whole sequence can be stored."""

    def state(self, sequence: int) -> State | None:
        """Copy what the memory holds of a sequence; None when it cannot."""


class Saver:
    """The conversations that should be stored. Only the engine's thread uses it.

    One conversation at a time is copied and written. While chats run, copying and writing together take at most a
    twentieth of the time, whatever the disk; only what has to leave the context is copied at once, because to compute
    it again would take longer.
    """

    def __init__(self, cache: PromptCache, memory: StateSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._memory = memory
        self._clock = clock
        self._due: dict[int, Sequence] = {}
        self._not_before = 0.0

    def grown(self, sequence: Sequence, count: int) -> None:
        """A running chat has decoded so many tokens: its full pieces can be stored before it ends."""
        full = self._memory.piece_tokens
        if full and len(sequence.tokens) % full < count:
            self._due[sequence.id] = sequence

    def ended(self, sequence: Sequence) -> None:
        """A chat has ended: all of it can be stored."""
        self._due[sequence.id] = sequence

    def leaving(self, sequence: Sequence) -> None:
        """An ended chat has to make place for another: this is the last moment to store it."""
        if self._due.pop(sequence.id, None) is not None:
            self._copy(sequence)

    def take_turn(self, *, busy: bool) -> bool:
        """Copy out one conversation, if there is one and it is time for it; False when there is nothing to do now."""
        if self._cache.is_writing or (busy and self._clock() < self._not_before):
            return False
        while self._due:
            # What has ended comes first, for it may soon have to make place; then what was used last.
            sequence = max(self._due.values(), key=lambda one: (not one.in_use, one.last_used))
            del self._due[sequence.id]
            if self._copy(sequence):
                return True
        return False

    def finish(self, seconds: float) -> None:
        """Store as much as can be stored in this time, before the context ends."""
        end = self._clock() + seconds
        while self._cache.wait_written(end - self._clock()) and self.take_turn(busy=False):
            pass

    def _copy(self, sequence: Sequence) -> bool:
        ended = not sequence.in_use
        if not self._cache.lacks(sequence.tokens, ended=ended):
            return False
        started = self._clock()
        state = self._memory.state(sequence.id)
        if state is None:
            return False
        copied_s = self._clock() - started

        def written(seconds: float) -> None:
            self._not_before = self._clock() + (copied_s + seconds) * (1 / _BUSY_SHARE - 1)

        self._cache.save(list(sequence.tokens), state, written, ended=ended)
        return True
