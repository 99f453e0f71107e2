"""Who decodes what in the next step. Pure decisions: no llama.cpp, no threads, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Sizes(Protocol):
    """How many prompt tokens llama.cpp likes at once."""

    @property
    def chunk(self) -> int:
        """The fewest that cost no more, each, than many do."""

    def alone(self, depth: int) -> int:
        """The most, in whole chunks, for a step without any other work, after so many tokens of a conversation."""


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


OLDEST_TURN = 4
"""Each such turn is for the prompt that came first, however long it is."""


def plan(chats: Sequence[Chat], batch: int, sizes: Sizes, turn: int) -> list[list[Chunk]]:
    """Return what each chat decodes, in groups that llama.cpp should be given one after the other.

    ``chats``: in the order in which they came. ``batch``: the most tokens in a group. ``turn``: how many steps with
    prompts there were before.

    Each chat that generates gets one token; they are the first group. Beside them, prompts get one chunk a step. They
    are served one after the other, the shortest first, because the mean time to a first token is then the least; some
    turns are for the one that came first, so that a long prompt does not wait for ever.

    llama.cpp computes equally many tokens of each sequence at once. Of different numbers it would make several passes,
    and cut prompts where that is slow. So all chunks of a group have one size.
    """
    pending = [chat.pending for chat in chats]
    generating = [slot for slot, count in enumerate(pending) if count == 1][:batch]
    counts: dict[int, int] = {}
    left = sizes.chunk
    for slot in _in_turn([slot for slot, count in enumerate(pending) if count > 1], pending, turn):
        depth = chats[slot].decoded
        if not counts and not generating:
            left = sizes.alone(depth)
        count = prompt_cut(pending[slot], depth, left, min(sizes.chunk, batch), batch)
        if not counts or count <= left:
            counts[slot] = count
            left -= count
    groups = [dict.fromkeys(generating, 1), *_by_size(counts)]
    return [_chunks(chats, group) for group in groups if group]


def prompt_cut(pending: int, depth: int, budget: int, chunk: int, batch: int) -> int:
    """Return how many of a prompt's ``pending`` tokens are next: about ``budget``, never more than ``batch``.

    A prompt is cut into whole chunks, counted from its end. It is so whatever else there is to do, because the places
    of the cuts change the results in their last digits. What is left over is the beginning: few tokens cost little
    only where there is nothing before them to look at, so else, and where it is very short, it goes with a chunk.
    """
    rest = pending % chunk
    if rest == 0 or pending <= chunk:
        first = min(chunk, pending)
    elif chunk + rest > batch or (depth == 0 and 2 * rest >= chunk):
        first = rest
    else:
        first = chunk + rest
    more = max(0, min(budget, batch, pending) - first)
    return first + more // chunk * chunk


def _in_turn(prompts: Sequence[int], pending: Sequence[int], turn: int) -> list[int]:
    """Return the prompts in the order in which they are served."""
    shortest_first = sorted(prompts, key=pending.__getitem__)
    if shortest_first and turn % OLDEST_TURN == OLDEST_TURN - 1:
        oldest = prompts[0]
        return [oldest, *(slot for slot in shortest_first if slot != oldest)]
    return shortest_first


def _by_size(counts: Mapping[int, int]) -> list[dict[int, int]]:
    sizes = dict.fromkeys(counts.values())
    return [{slot: count for slot, count in counts.items() if count == size} for size in sizes]


def _chunks(chats: Sequence[Chat], counts: Mapping[int, int]) -> list[Chunk]:
    """Return the chunks of a group in the order of their sequences: llama.cpp computes only neighbours together."""
    chunks = [_chunk(slot, chats[slot], count) for slot, count in counts.items()]
    return sorted(chunks, key=lambda chunk: chunk.sequence)


def _chunk(slot: int, chat: Chat, count: int) -> Chunk:
    tokens = chat.next_tokens(count)
    return Chunk(slot, chat.sequence_id, chat.decoded, tokens, wants_output=count == chat.pending)
