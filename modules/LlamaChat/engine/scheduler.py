"""Who decodes what in the next step. Pure decisions: no llama.cpp, no threads, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Chat(Protocol):
    """What the scheduler must know of a running chat."""

    @property
    def sequence_id(self) -> int:
        """Number of its sequence in the context."""

    @property
    def decoded(self) -> int:
        """How many of its tokens the context holds."""

    @property
    def pending(self) -> int:
        """How many tokens are known but not decoded, at least 1: one while it generates, more in its prompt."""

    def next_tokens(self, count: int) -> Sequence[int]:
        """Return the first ``count`` pending tokens."""


@dataclass(frozen=True)
class Chunk:
    """Tokens of one chat to decode in this step, from position ``position`` on.

    ``slot`` is the chat's index in the list that was planned. ``wants_output``: these are its last pending
    tokens, so its next token is sampled.
    """

    slot: int
    sequence: int
    position: int
    tokens: Sequence[int]
    wants_output: bool


OLDEST_SHARE = 4
"""One part in so many of the prompt budget is for the prompt that came first, however long it is."""


def plan(chats: Sequence[Chat], batch: int, prompt_budget: int) -> list[Chunk]:
    """Return what each chat decodes: one token for each that generates, then prompts in what is left.

    ``chats``: in the order in which they came. ``batch``: the most tokens in all. ``prompt_budget``: the most prompt
    tokens, or half as many more where that ends a prompt. Prompts are served one after the other, the shortest first,
    because the mean time to a first token is then the least; a part of the budget is for the one that came first, so
    that a long prompt does not wait for ever. The chunks are in the order of their sequences: llama.cpp computes only
    neighbours together.
    """
    pending = [chat.pending for chat in chats]
    generating = [slot for slot, count in enumerate(pending) if count == 1][:batch]
    prompts = [slot for slot, count in enumerate(pending) if count > 1]
    left = min(prompt_budget, batch - len(generating))
    counts = dict.fromkeys(generating, 1)
    oldest = prompts[:1] if left >= OLDEST_SHARE else []
    for slot in oldest:
        counts[slot] = min(left // OLDEST_SHARE, pending[slot])
        left -= counts[slot]
    for slot in sorted(prompts, key=pending.__getitem__):
        rest = pending[slot] - counts.get(slot, 0)
        # A small rest would cost a step of its own, so what is almost within the budget is taken whole.
        count = rest if rest <= left + left // 2 and rest <= batch - sum(counts.values()) else min(left, rest)
        if count > 0:
            counts[slot] = counts.get(slot, 0) + count
            left -= min(left, count)
    chunks = [_chunk(slot, chats[slot], count, pending[slot]) for slot, count in counts.items()]
    return sorted(chunks, key=lambda chunk: chunk.sequence)


def _chunk(slot: int, chat: Chat, count: int, pending: int) -> Chunk:
    tokens = chat.next_tokens(count)
    return Chunk(slot, chat.sequence_id, chat.decoded, tokens, wants_output=count == pending)


class PromptBudget:
    """How many prompt tokens a step may take, so that no step lasts too long on this machine.

    A cancel takes effect between steps, and chats that generate get one token per step: while some do, prompts
    may add ``beside_s`` seconds to a step, else a step may last ``alone_s``. Sizes are powers of two, so that
    small changes of speed do not change how a prompt is cut.
    """

    def __init__(self, most: int = 512, least: int = 16, alone_s: float = 0.5, beside_s: float = 0.2) -> None:
        self._most = most
        self._least = least
        self._alone_s = alone_s
        self._beside_s = beside_s
        self._tokens_per_second: float | None = None

    def allowed(self, *, others_generate: bool) -> int:
        """Return the most prompt tokens for the next step."""
        if self._tokens_per_second is None:
            return min(self._most, 128)
        wanted = self._tokens_per_second * (self._beside_s if others_generate else self._alone_s)
        size = self._least
        while size * 2 <= min(wanted, self._most):
            size *= 2
        return size

    def learn(self, prompt_tokens: int, seconds: float) -> None:
        """Note that a step with so many prompt tokens took so long; small steps say too little."""
        if prompt_tokens < self._least or seconds <= 0:
            return
        rate = prompt_tokens / seconds
        before = self._tokens_per_second
        self._tokens_per_second = rate if before is None else 0.7 * before + 0.3 * rate
