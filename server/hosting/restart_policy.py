"""When a module that stopped by itself is started again, and when not any more. No I/O, no sleeping."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
JITTER = 0.2
STABLE_AFTER = 10.0
MAX_IN_A_ROW = 5
MAX_IN_WINDOW = 10
WINDOW = 30 * 60.0


class RestartPolicy:
    """The restart policy of one module. Times are seconds of the injected clock.

    ``jitter`` returns a number from -1 to 1; the delay varies by 20 % with it, so that modules that fell together
    do not start together.
    """

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self._in_a_row = 0
        self._recent: deque[float] = deque()
        self._ready_since: float | None = None

    def ready(self) -> None:
        """The module has become ready."""
        self._ready_since = self._clock()

    def ended(self) -> float | None:
        """The module stopped by itself: return the seconds to wait before the next start, ``None`` to give up."""
        now = self._clock()
        if self._ready_since is not None and now - self._ready_since >= STABLE_AFTER:
            self._in_a_row = 0
        self._ready_since = None
        self._in_a_row += 1
        self._recent.append(now)
        while self._recent[0] <= now - WINDOW:
            self._recent.popleft()
        if self._in_a_row >= MAX_IN_A_ROW or len(self._recent) >= MAX_IN_WINDOW:
            return None
        delay = min(FIRST_DELAY * 2.0 ** (self._in_a_row - 1), LONGEST_DELAY)
        return delay * (1 + JITTER * self._jitter())

    def stopped(self) -> None:
        """The server stopped the module: that is not held against it."""
        self._ready_since = None

    def reset(self) -> None:
        """Forget everything: somebody asked for a fresh start."""
        self._in_a_row = 0
        self._recent.clear()
        self._ready_since = None

    @property
    def failures(self) -> int:
        """How often it has stopped in a row."""
        return self._in_a_row
