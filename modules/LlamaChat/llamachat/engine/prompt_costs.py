"""Measuring what prompt steps of different sizes cost, in a context of its own, before there are chats."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from . import sequence_state
from .context import Context, Outcome
from .errors import LlamaChatError
from .model import Model
from .prompt_sizes import UNMEASURED, Costs
from .scheduler import Chunk
from .waiting import apart

_SIZES = (32, 64, 128, 256, 512)
_DEPTH = 1024
_STATE_BYTES = 64 * 1024**2
_ROUNDS = 2
_LIMIT_S = 1.5


def measure(model: Model, *, length: int, threads: int, batch: int, limit_s: float = _LIMIT_S) -> Costs:
    """Return what steps cost with this model, as far as that can be found out within about ``limit_s``.

    ``length``: tokens that a conversation can have. ``batch``: the most tokens in one step.
    """
    sizes = [size for size in _SIZES if size <= min(batch, length)]
    return apart(lambda: _measured(model, length, threads, batch, sizes, limit_s)) if sizes else UNMEASURED


def _measured(model: Model, length: int, threads: int, batch: int, sizes: Sequence[int], limit_s: float) -> Costs:
    try:
        context = Context(model, length=min(length, _DEPTH + sizes[-1]), sequences=1, threads=threads, batch=batch)
    except LlamaChatError:
        return UNMEASURED  # the chats' own context says what is the matter
    probe = _Probe(context, model, threads)
    try:
        first = probe.seconds(sizes, 0, limit_s / 3)
        depth = probe.go_deep(min(_DEPTH, length - sizes[-1]))
        return Costs(first, probe.seconds(sizes, depth, limit_s * 2 / 3) if depth else {}, depth)
    except LlamaChatError:
        return UNMEASURED
    finally:
        context.close()


class _Probe:
    """Steps in an otherwise unused context."""

    def __init__(self, context: Context, model: Model, threads: int) -> None:
        self._context = context
        self._vocabulary_size = model.vocabulary_size
        self._threads = threads
        # What others do on the processors meanwhile must not count. Windows counts a process's time too coarsely.
        self._wall = model.gpu_layers > 0 or os.name == "nt"

    def seconds(self, sizes: Sequence[int], depth: int, limit_s: float) -> dict[int, float]:
        """Return the least that a step of each size took, the small ones first, as many as there is time for."""
        end = time.monotonic() + limit_s
        best: dict[int, float] = {}
        self._step(1, depth)  # the weights may still have to come from the disk
        for _ in range(_ROUNDS):
            lasted = 0.0
            for size in sizes:
                began = time.monotonic()
                if began + 2 * lasted > end:
                    break
                took = self._step(size, depth)
                lasted = time.monotonic() - began
                if took is None:
                    return best
                best[size] = min(took, best.get(size, took))
        return best

    def go_deep(self, most: int) -> int:
        """Let the conversation have about ``most`` tokens without computing them; return how many it has."""
        if most <= 0 or not self._context.piece_tokens:
            return 0
        self._context.decode([Chunk(0, 0, 0, [0], wants_output=False)])
        one = self._context.state(0)
        self._context.clear(0)
        if one is None:
            return 0
        depth = min(most, max(1, _STATE_BYTES // len(one)))
        state = sequence_state.repeated(one, depth, streams=1)
        return depth if state is not None and self._context.restore(0, state, depth) else 0

    def _step(self, size: int, depth: int) -> float | None:
        """Decode so many tokens after ``depth`` others, and forget them; None when llama.cpp does not."""
        tokens = [number % self._vocabulary_size for number in range(size)]
        began = self._clock()
        outcome = self._context.decode([Chunk(0, 0, depth, tokens, wants_output=False)])
        self._context.wait()
        took = self._clock() - began
        if depth == 0:
            self._context.clear(0)  # not every model can go back, but each can begin anew
            return took if outcome is Outcome.DONE else None
        return took if outcome is Outcome.DONE and self._context.truncate(0, depth) else None

    def _clock(self) -> float:
        return time.monotonic() if self._wall else time.process_time() / self._threads
