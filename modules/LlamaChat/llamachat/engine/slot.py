"""One chat in the engine, from its first prompt token to its last word."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .log_probabilities import WaitingEntries
from .request import Delta, Finish, Generation, StopReason
from .sequences import Sequence as HeldSequence
from .text_tail import TextTail

if TYPE_CHECKING:
    from .log_probabilities import LogProbability
    from .sampler import Sampler


class Slot:
    """A chat that runs or waits to run.

    ``tokens`` are the prompt and all generated tokens. Those that the context holds are in ``sequence``; the
    others are pending. A chat that lost its place in the context therefore just has everything pending again.
    """

    def __init__(self, generation: Generation, max_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``max_tokens``: how many tokens to generate at most, at least 1."""
        self.generation = generation
        self.tokens = list(generation.request.prompt)
        self.max_tokens = max_tokens
        self.sequence: HeldSequence | None = None
        self.sampler: Sampler | None = None
        self.cached_tokens = 0
        self._prompt_length = len(self.tokens)
        self._tail = TextTail(generation.request.stop)
        self._entries = WaitingEntries()
        self._shown = 0
        self._clock = clock
        self._started: float | None = None

    @property
    def generated(self) -> int:
        """How many tokens were generated so far."""
        return len(self.tokens) - self._prompt_length

    @property
    def sequence_id(self) -> int:
        """Number of its sequence in the context."""
        return self._held().id

    @property
    def decoded(self) -> int:
        """How many of its tokens the context holds."""
        return len(self._held().tokens)

    @property
    def pending(self) -> int:
        """How many of its tokens must still be decoded."""
        return len(self.tokens) - len(self._held().tokens)

    def next_tokens(self, count: int) -> Sequence[int]:
        """Return the first ``count`` pending tokens."""
        start = self.decoded
        return self.tokens[start : start + count]

    def place(self, sequence: HeldSequence) -> None:
        """Go on in this sequence, whose tokens are a beginning of this chat's."""
        if self._started is None:
            self._started = self._clock()
            self.cached_tokens = len(sequence.tokens)
        self.sequence = sequence

    def note_decoded(self, count: int) -> None:
        """The context now holds ``count`` more tokens."""
        held = self._held()
        held.tokens.extend(self.next_tokens(count))

    @property
    def text_length(self) -> int:
        """How many whole characters were generated so far."""
        return self._tail.length

    def take(
        self, token: int, piece: bytes, *, is_end: bool, log_probability: LogProbability | None = None
    ) -> Finish | None:
        """Add a sampled token and pass its text on; return how the chat ended, or None while it goes on."""
        if is_end:
            return self.finish("completed")
        self.tokens.append(token)
        if log_probability is not None:
            self._entries.add(log_probability)
        self._show(self._tail.push(piece))
        if self._tail.stopped:
            return self.finish("completed")
        if self.generated >= self.max_tokens:
            return self.finish("length")
        return None

    def finish(self, reason: StopReason) -> Finish:
        """Return how this chat ended, after the last text that was held back."""
        self._show(self._tail.flush())
        return Finish(
            reason=reason,
            prompt_tokens=self._prompt_length,
            completion_tokens=self.generated,
            cached_tokens=self.cached_tokens,
            inference_ms=self._elapsed_ms(),
        )

    def _show(self, text: str) -> None:
        if text:
            self._shown += len(text)
            self.generation.put(Delta(text, self.generated, self._entries.leave(self._shown)))

    def _elapsed_ms(self) -> int:
        return 0 if self._started is None else round((self._clock() - self._started) * 1000)

    def _held(self) -> HeldSequence:
        if self.sequence is None:
            raise RuntimeError("a waiting chat has no sequence")
        return self.sequence
