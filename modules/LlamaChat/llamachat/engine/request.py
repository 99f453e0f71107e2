"""What one chat asks of the engine, and what comes back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .sampling import Sampling

if TYPE_CHECKING:
    from .log_probabilities import LogProbability

StopReason = Literal["completed", "length", "cancelled"]


@dataclass(frozen=True)
class Request:
    """One reply to generate.

    ``prompt`` is the whole conversation as tokens, never empty. ``max_tokens`` 0 means: until the context is
    full. ``log_probabilities``: tell each token's log-probability and those of so many likeliest ones; None tells
    nothing, and costs nothing. ``cancelled`` is asked on the engine's thread at every step, so it must return at once.
    """

    prompt: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 0
    stop: Sequence[str] = ()
    log_probabilities: int | None = None
    cancelled: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Delta:
    """Text that follows what came before. ``tokens``: how many tokens were generated so far.

    ``log_probabilities`` are those of the tokens whose text begins in it, if they were asked for. ``reasoning``: what
    the model thinks before it answers; the engine itself does not tell the two apart.
    """

    text: str
    tokens: int
    log_probabilities: tuple[LogProbability, ...] = ()
    reasoning: bool = False


@dataclass(frozen=True)
class Finish:
    """The last thing that comes back. ``cached_tokens``: prompt tokens that needed no work.

    ``reasoning_tokens``: how many of the generated ones the model spent on thinking, where that is told apart.
    """

    reason: StopReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    inference_ms: int
    reasoning_tokens: int = 0


class Generation:
    """The growing answer to one request; iterate it once, from any one thread.

    Yields ``Delta`` and, last, one ``Finish``; raises what the engine failed with.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self._events: queue.SimpleQueue[Delta | Finish | Exception] = queue.SimpleQueue()
        self._cancel = threading.Event()

    def __iter__(self) -> Iterator[Delta | Finish]:
        try:
            while True:
                event = self._events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finish):
                    return
        finally:
            self.cancel()  # whoever stops reading wants no more; after the end it changes nothing

    def cancel(self) -> None:
        """Ask the engine to stop at its next step; what was generated so far still arrives."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants this to stop."""
        return self._cancel.is_set() or self.request.cancelled()

    def put(self, event: Delta | Finish | Exception) -> None:
        """Hand over the next event; called by the engine only."""
        self._events.put(event)
