"""Live figures of the engine, for the module's status."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_S = 5.0


@dataclass(frozen=True)
class Figures:
    """``prompt_tokens`` and ``cached_tokens`` count since the start; the second are those that needed no work."""

    running: int
    waiting: int
    cells_used: int
    cells: int
    tokens_per_second: float
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int
    evictions: int


class Meter:
    """Counts on the engine's thread; any thread may ask for the figures."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._generated = self._prompt = self._cached = self._evictions = 0
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])

    def token(self) -> None:
        """One token was generated."""
        self._generated += 1
        now = self._clock()
        if now - self._marks[-1][0] >= 0.25:
            self._marks.append((now, self._generated))
            while now - self._marks[0][0] > _WINDOW_S and len(self._marks) > 2:
                self._marks.popleft()

    def prompt(self, tokens: int, cached: int) -> None:
        """A prompt was started, and so many of its tokens were remembered."""
        self._prompt += tokens
        self._cached += cached

    def eviction(self) -> None:
        """An idle chat was forgotten to make space."""
        self._evictions += 1

    def idle(self) -> None:
        """Nothing runs: the speed is measured afresh with the next chat."""
        self._marks = deque([(self._clock(), self._generated)])

    def figures(self, *, running: int, waiting: int, cells_used: int, cells: int) -> Figures:
        """Return the figures; the speed is the mean of about the last five seconds."""
        started, before = self._marks[0]
        seconds = self._clock() - started
        speed = (self._generated - before) / seconds if running and seconds > 0 else 0.0
        return Figures(
            running=running,
            waiting=waiting,
            cells_used=cells_used,
            cells=cells,
            tokens_per_second=round(speed, 1),
            generated_tokens=self._generated,
            prompt_tokens=self._prompt,
            cached_tokens=self._cached,
            evictions=self._evictions,
        )
