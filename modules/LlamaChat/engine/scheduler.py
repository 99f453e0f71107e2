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


def plan(chats: Sequence[Chat], batch: int, prompt_budget: int) -> list[Chunk]:
    """Return what each chat decodes: one token for each that generates, then prompts in what is left.

    ``batch``: the most tokens in all. ``prompt_budget``: the most prompt tokens. Prompts share the budget
    equally, and what a short one leaves goes to the longer ones: nobody waits behind a long prompt.
    """
    generating = [slot for slot, chat in enumerate(chats) if chat.pending == 1]
    prompts = [slot for slot, chat in enumerate(chats) if chat.pending > 1]
    chunks = [_chunk(slot, chats[slot], 1) for slot in generating[:batch]]
    left = min(prompt_budget, batch - len(chunks))
    shortest_first = sorted(prompts, key=lambda slot: chats[slot].pending)
    for served, slot in enumerate(shortest_first):
        # Rounded up, so that the first of many prompts gets a token even when the budget is small.
        share = -(-left // (len(shortest_first) - served))
        count = min(share, chats[slot].pending)
        if count > 0:
            chunks.append(_chunk(slot, chats[slot], count))
            left -= count
    return chunks


def _chunk(slot: int, chat: Chat, count: int) -> Chunk:
    tokens = chat.next_tokens(count)
    return Chunk(slot, chat.sequence_id, chat.decoded, tokens, wants_output=count == chat.pending)


class PromptBudget:
    """How many prompt tokens a step may take, so that no step lasts too long on this machine.

    A cancel takes effect between steps, and chats that generate get one token per step: while some do, prompts
    may add ``beside_s`` seconds to a step, else a step may last ``alone_s``. Sizes are powers of two, so that
    small changes of speed do not change how a prompt is cut.
    """

    def __init__(self, most: int = 512, least: int = 16, alone_s: float = 0.5, beside_s: float = 0.15) -> None:
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
