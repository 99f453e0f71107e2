"""What the context remembers: sequences in use, and idle ones kept because their beginning may be asked again."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import Protocol

WORTH_COPYING = 32
"""Tokens. To compute fewer takes no longer than to copy them from another sequence."""


class Memory(Protocol):
    """The part of the native context that sequences need."""

    def truncate(self, sequence: int, length: int) -> bool:
        """Forget everything after ``length`` tokens; False when this kind of model cannot."""

    def clear(self, sequence: int) -> None:
        """Forget a whole sequence."""

    def share(self, source: int, target: int, length: int) -> bool:
        """Let the empty ``target`` begin with the first ``length`` tokens of ``source``; False when it cannot."""

    def holds(self, sequence: int, length: int) -> bool:
        """Whether a sequence may be cut after ``length`` tokens, or shared so far, with nothing missing."""


@dataclass
class Sequence:
    """One sequence of the context. ``tokens`` are exactly those that the context holds for it."""

    id: int
    tokens: list[int] = field(default_factory=list)
    in_use: bool = False
    last_used: int = 0


class SequencePool:
    """All sequences of one context; gives each chat the one that already holds most of its prompt."""

    def __init__(
        self,
        memory: Memory,
        count: int,
        *,
        can_rewind: bool = True,
        worth_copying: int = WORTH_COPYING,
        on_eviction: Callable[[Sequence], None] = lambda sequence: None,
    ) -> None:
        """``can_rewind``: the model can forget the end of a sequence.

        ``worth_copying``: tokens of a common beginning from which it is copied from another sequence.
        ``on_eviction`` is called when an idle sequence has to make place for another chat, before it does.
        """
        self._memory = memory
        self._can_rewind = can_rewind
        self._worth_copying = worth_copying
        self._on_eviction = on_eviction
        self._sequences = [Sequence(number) for number in range(count)]
        self._uses = 0

    @property
    def tokens_held(self) -> int:
        """Tokens in all sequences."""
        return sum(len(sequence.tokens) for sequence in self._sequences)

    @property
    def idle_count(self) -> int:
        """Idle sequences that still hold something."""
        return sum(1 for sequence in self._sequences if sequence.tokens and not sequence.in_use)

    def acquire(self, tokens: Tokens[int]) -> Sequence:
        """Take a sequence for this text; its ``tokens`` are the beginning that needs no work, always shorter.

        At least the last token is left to decode, because sampling needs its logits. There must be a
        sequence that is not in use.
        """
        best, common = self._longest_common(tokens)
        if best is not None and self._is_continuation(best, common):
            self._keep_beginning(best, common)
            return self._use(best)
        target = self._oldest_idle(spare=best)
        own = self._common(target, tokens)
        if target.tokens[own:]:
            self._on_eviction(target)
        if best is not None and best is not target and common >= own + self._worth_copying and self._can_rewind:
            self.forget(target)
            if self._memory.share(best.id, target.id, common):
                target.tokens = best.tokens[:common]
        else:
            self._keep_beginning(target, own)
        return self._use(target)

    def release(self, sequence: Sequence) -> None:
        """The chat has ended; what it held stays until the sequence is needed."""
        sequence.in_use = False

    def forget(self, sequence: Sequence) -> None:
        """Empty a sequence."""
        if sequence.tokens:
            self._memory.clear(sequence.id)
        sequence.tokens = []

    def correct(self, sequence: Sequence, tokens: Tokens[int], keep: int) -> None:
        """Note that the context holds these tokens, and let it forget all but the first ``keep``."""
        sequence.tokens = list(tokens)
        self._keep_beginning(sequence, keep)

    def _longest_common(self, tokens: Tokens[int]) -> tuple[Sequence | None, int]:
        """Return the sequence that shares the longest beginning, an idle one where two are equal."""
        best, most = None, 0
        for sequence in sorted(self._sequences, key=lambda candidate: candidate.in_use):
            common = self._common(sequence, tokens)
            if common > most:
                best, most = sequence, common
        return best, most

    def _common(self, sequence: Sequence, tokens: Tokens[int]) -> int:
        """Return how many tokens of this text the sequence begins with and can be cut after."""
        common = common_length(sequence.tokens, tokens, len(tokens) - 1)
        whole = common == len(sequence.tokens)
        return common if whole or (self._can_rewind and self._memory.holds(sequence.id, common)) else 0

    def _is_continuation(self, sequence: Sequence, common: int) -> bool:
        """Whether the text goes on where this idle sequence ends; otherwise the sequence is worth keeping."""
        return not sequence.in_use and 10 * common >= 9 * len(sequence.tokens)

    def _keep_beginning(self, sequence: Sequence, length: int) -> None:
        if length < len(sequence.tokens):
            if not self._memory.truncate(sequence.id, length):
                self._memory.clear(sequence.id)
                length = 0
            del sequence.tokens[length:]

    def _oldest_idle(self, spare: Sequence | None) -> Sequence:
        """Return an empty sequence, else the one used longest ago, ``spare`` only when there is no other."""
        idle = [sequence for sequence in self._sequences if not sequence.in_use]
        return min(idle, key=lambda sequence: (sequence is spare, bool(sequence.tokens), sequence.last_used))

    def _use(self, sequence: Sequence) -> Sequence:
        self._uses += 1
        sequence.last_used = self._uses
        sequence.in_use = True
        return sequence


def common_length(left: Tokens[int], right: Tokens[int], most: int) -> int:
    """Return how many tokens both begin with, at most ``most``."""
    limit = max(0, min(len(left), len(right), most))
    if left[:limit] == right[:limit]:
        return limit
    for index in range(limit):
        if left[index] != right[index]:
            return index
    return limit
