"""Who decodes what in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from llamachat.engine.scheduler import OLDEST_TURN, Chunk, plan, prompt_cut

BATCH = 512


@dataclass
class FakeChat:
    """A chat with ``total`` tokens 0, 1, 2 …, of which ``decoded`` are in the context."""

    sequence_id: int
    decoded: int
    total: int

    @property
    def pending(self) -> int:
        return self.total - self.decoded

    def next_tokens(self, count: int) -> Sequence[int]:
        return range(self.decoded, self.decoded + count)


@dataclass(frozen=True)
class FixedSizes:
    """``chunk`` tokens at once, ``most`` where nobody waits."""

    chunk: int = 64
    most: int = 256

    def alone(self, depth: int) -> int:
        return self.most


def generating(sequence: int, decoded: int = 10) -> FakeChat:
    return FakeChat(sequence, decoded, decoded + 1)


def prompt(sequence: int, length: int, decoded: int = 0) -> FakeChat:
    return FakeChat(sequence, decoded, decoded + length)


def planned(chats: Sequence[FakeChat], sizes: FixedSizes | None = None, turn: int = 0) -> list[dict[int, int]]:
    """How many tokens each sequence gets, for each group."""
    groups = plan(chats, BATCH, sizes or FixedSizes(), turn)
    return [{chunk.sequence: len(chunk.tokens) for chunk in group} for group in groups]


def chunks_of(groups: list[list[Chunk]]) -> list[Chunk]:
    return [chunk for group in groups for chunk in group]


def test_every_generating_chat_gets_one_token_and_prompts_one_chunk() -> None:
    assert planned([generating(0), prompt(1, 640), generating(2)]) == [{0: 1, 2: 1}, {1: 64}]


def test_a_prompt_alone_gets_as_many_chunks_as_do_not_last_too_long() -> None:
    assert planned([prompt(1, 640)]) == [{1: 256}]
    assert planned([prompt(1, 640)], FixedSizes(most=64)) == [{1: 64}]


def test_the_last_chunk_of_a_prompt_wants_an_output() -> None:
    [[chunk]] = plan([prompt(3, 60, decoded=40)], BATCH, FixedSizes(), 0)
    assert (chunk.position, list(chunk.tokens), chunk.wants_output) == (40, list(range(40, 100)), True)
    [[chunk]] = plan([prompt(3, 128, decoded=40)], BATCH, FixedSizes(most=64), 0)
    assert (len(chunk.tokens), chunk.wants_output) == (64, False)


def test_a_short_prompt_does_not_wait_behind_a_long_one() -> None:
    assert planned([generating(2), prompt(0, 64 * 300), prompt(1, 30)]) == [{2: 1}, {1: 30}]
    assert planned([prompt(0, 640), prompt(1, 30)]) == [{1: 30}, {0: 192}]


def test_several_short_prompts_share_a_chunk() -> None:
    chats = [generating(0), *(prompt(number, 20) for number in range(1, 6))]
    assert planned(chats) == [{0: 1}, {1: 20, 2: 20, 3: 20}]


def test_the_prompt_that_came_first_gets_its_turns_beside_any_number_of_short_ones() -> None:
    chats = [generating(9), prompt(8, 6400), *(prompt(number, 64) for number in range(8))]
    served = [next(iter(planned(chats, turn=turn)[1])) for turn in range(2 * OLDEST_TURN)]
    assert served.count(8) == 2


def test_a_rest_goes_with_the_first_chunk_or_before_it_where_that_costs_little() -> None:
    assert prompt_cut(64 * 9 + 20, 0, 64, 64, BATCH) == 64 + 20
    assert prompt_cut(64 * 9 + 40, 0, 64, 64, BATCH) == 40
    assert prompt_cut(64 * 9 + 40, 5000, 64, 64, BATCH) == 64 + 40, "few tokens late in a conversation are slow"
    assert prompt_cut(64 * 9 + 40, 5000, 256, 64, BATCH) == 64 * 3 + 40
    assert prompt_cut(40, 5000, 64, 64, BATCH) == 40
    assert prompt_cut(1000, 0, 512, 512, BATCH) == 1000 - 512


def test_the_chunks_of_a_group_are_in_the_order_of_their_sequences() -> None:
    assert [list(group) for group in planned([generating(5), prompt(3, 30), generating(4), prompt(0, 30)])] == [
        [4, 5],
        [0, 3],
    ]


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([], BATCH, FixedSizes(), 0) == []


SIZES = st.builds(
    lambda chunk, times: FixedSizes(chunk, min(BATCH, chunk * times)),
    st.sampled_from([16, 64, 128, 512]),
    st.integers(1, 9),
)
CHATS = st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 5000)), min_size=1, max_size=20).map(
    lambda lengths: [prompt(number, *length) for number, length in enumerate(lengths)]
)


@given(chats=CHATS, sizes=SIZES, turn=st.integers(0, 9))
def test_a_plan_fits_and_always_moves_on(chats: list[FakeChat], sizes: FixedSizes, turn: int) -> None:
    groups = plan(chats, BATCH, sizes, turn)
    chunks = chunks_of(groups)
    assert chunks
    assert len({chunk.sequence for chunk in chunks}) == len(chunks)
    assert all(sum(len(chunk.tokens) for chunk in group) <= BATCH for group in groups)
    assert all(len({len(chunk.tokens) for chunk in group}) == 1 for group in groups), "equal sizes only"
    assert all(chunk.wants_output == (len(chunk.tokens) == chats[chunk.slot].pending) for chunk in chunks)


@given(chats=CHATS, sizes=SIZES, turn=st.integers(0, 9))
def test_chats_that_generate_never_wait_for_more_than_their_chunk(
    chats: list[FakeChat], sizes: FixedSizes, turn: int
) -> None:
    chats = [*chats, generating(len(chats))]
    first, *others = plan(chats, BATCH, sizes, turn)
    assert {chunk.slot for chunk in first} == {slot for slot, chat in enumerate(chats) if chat.pending == 1}
    assert sum(len(chunk.tokens) for group in others for chunk in group) < 2 * sizes.chunk
    assert bool(others) == any(chat.pending > 1 for chat in chats)


@given(length=st.integers(2, 3000), depth=st.integers(0, 5000), sizes=SIZES, beside=st.lists(st.booleans(), min_size=1))
def test_a_prompt_is_cut_at_the_same_places_whatever_runs_beside_it(
    length: int, depth: int, sizes: FixedSizes, beside: list[bool]
) -> None:
    places = list(cuts(length, depth, sizes, [True]))
    assert set(cuts(length, depth, sizes, beside)) <= set(places)
    assert places[-1] == 0
    steps = [before - after for before, after in zip([length, *places], places, strict=False)]
    assert all(step == sizes.chunk for step in steps[1:]), "only the first part of a prompt has another size"


def cuts(length: int, depth: int, sizes: FixedSizes, beside: Sequence[bool]) -> Sequence[int]:
    """What is pending after each step; ``beside``: whether another chat generates, in turn."""
    chat = prompt(0, length, depth)
    left: list[int] = []
    while chat.pending:
        chats = [chat, generating(1)] if beside[len(left) % len(beside)] else [chat]
        chat.decoded += next(
            len(chunk.tokens) for chunk in chunks_of(plan(chats, BATCH, sizes, 0)) if chunk.sequence == 0
        )
        left.append(chat.pending)
    return left


@given(
    lengths=st.lists(st.integers(2, 2000), min_size=1, max_size=8),
    sizes=SIZES,
    generates=st.booleans(),
    newcomer=st.integers(2, 400),
)
def test_no_prompt_starves(lengths: list[int], sizes: FixedSizes, generates: bool, newcomer: int) -> None:
    """Each time a prompt has ended, another short one comes; those that were there all end, the first one too."""
    chats = [prompt(number, length) for number, length in enumerate(lengths)]
    waiting = set(range(len(chats)))
    for turn in range(OLDEST_TURN * sum(length // sizes.chunk + 2 for length in lengths) + OLDEST_TURN):
        now = [*chats, generating(10_000)] if generates else chats
        for chunk in chunks_of(plan(now, BATCH, sizes, turn)):
            now[chunk.slot].decoded += len(chunk.tokens)
        ended = [chat for chat in chats if chat.pending <= 1]
        waiting -= {chat.sequence_id for chat in ended}
        chats = [chat for chat in chats if chat.pending > 1]
        chats += [prompt(100 + chat.sequence_id, newcomer) for chat in ended]
        if not waiting:
            return
    assert not waiting
