"""Live figures of the engine, for the module's status."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

_WINDOW_S = 5.0
_PROMPT_STEPS = 20


@dataclass(frozen=True)
class Now:
    """What there is at this moment.

    ``remembered``: ended chats that the context still holds. ``stores``: whether conversations are kept on disk;
    ``stored``: how many pieces of them are there, and ``stored_bytes`` all that is in the folder.
    """

    running: int
    waiting: int
    cells_used: int
    cells: int
    remembered: int
    stores: bool
    stored: int
    stored_bytes: int


@dataclass(frozen=True)
class Figures(Now):
    """What there is, how fast it goes, and what was counted since the start.

    ``cached_tokens``: prompt tokens that needed no work; ``restored_tokens`` of them came from the disk.
    ``memory_hits`` and ``disk_hits``: prompts whose beginning was remembered there.
    """

    tokens_per_second: float
    prompt_tokens_per_second: float
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int
    restored_tokens: int
    memory_hits: int
    disk_hits: int
    evictions: int


class Meter:
    """Counts on the engine's thread; any thread may ask for the figures."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._generated = self._prompt = self._cached = self._restored = self._evictions = 0
        self._memory_hits = self._disk_hits = 0
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._prompt_steps: deque[tuple[int, float]] = deque(maxlen=_PROMPT_STEPS)

    def token(self) -> None:
        """One token was generated."""
        self._generated += 1
        now = self._clock()
        if now - self._marks[-1][0] >= 0.25:
            self._marks.append((now, self._generated))
            while now - self._marks[0][0] > _WINDOW_S and len(self._marks) > 2:
                self._marks.popleft()

    def prompt(self, tokens: int, cached: int, restored: int = 0) -> None:
        """A prompt was started; so many of its tokens were remembered, and so many of those on disk."""
        self._prompt += tokens
        self._cached += cached
        self._restored += restored
        self._disk_hits += restored > 0
        self._memory_hits += cached > restored

    def prompt_work(self, tokens: int, seconds: float) -> None:
        """A step computed so many prompt tokens, and took so long."""
        if tokens:
            self._prompt_steps.append((tokens, seconds))

    def eviction(self) -> None:
        """An idle chat was forgotten to make space."""
        self._evictions += 1

    def idle(self) -> None:
        """Nothing runs: the speed is measured afresh with the next chat."""
        self._marks = deque([(self._clock(), self._generated)])

    def figures(self, now: Now) -> Figures:
        """Return all figures; the speed is the mean of about the last five seconds, for prompts of the last steps."""
        started, before = self._marks[0]
        seconds = self._clock() - started
        speed = (self._generated - before) / seconds if now.running and seconds > 0 else 0.0
        prompt_steps = list(self._prompt_steps)
        prompt_seconds = sum(seconds for _, seconds in prompt_steps)
        prompt_speed = sum(tokens for tokens, _ in prompt_steps) / prompt_seconds if prompt_seconds > 0 else 0.0
        return Figures(
            **asdict(now),
            tokens_per_second=round(speed, 1),
            prompt_tokens_per_second=round(prompt_speed, 1),
            generated_tokens=self._generated,
            prompt_tokens=self._prompt,
            cached_tokens=self._cached,
            restored_tokens=self._restored,
            memory_hits=self._memory_hits,
            disk_hits=self._disk_hits,
            evictions=self._evictions,
        )
