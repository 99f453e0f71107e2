"""Who decodes what in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.scheduler import Chunk, PromptBudget, plan
from hypothesis import given
from hypothesis import strategies as st


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


def generating(sequence: int, decoded: int = 10) -> FakeChat:
    return FakeChat(sequence, decoded, decoded + 1)


def prompt(sequence: int, length: int, decoded: int = 0) -> FakeChat:
    return FakeChat(sequence, decoded, length)


def sizes(chunks: list[Chunk]) -> dict[int, int]:
    return {chunk.sequence: len(chunk.tokens) for chunk in chunks}


def test_every_generating_chat_gets_one_token_and_prompts_the_rest() -> None:
    chunks = plan([generating(0), prompt(1, 1000), generating(2)], batch=512, prompt_budget=512)
    assert sizes(chunks) == {0: 1, 2: 1, 1: 510}
    assert {chunk.sequence for chunk in chunks if chunk.wants_output} == {0, 2}


def test_the_last_chunk_of_a_prompt_wants_an_output() -> None:
    [chunk] = plan([prompt(3, 100, decoded=40)], batch=512, prompt_budget=512)
    assert (chunk.position, list(chunk.tokens), chunk.wants_output) == (40, list(range(40, 100)), True)


def test_a_short_prompt_does_not_wait_behind_a_long_one() -> None:
    chunks = plan([prompt(0, 20_000), prompt(1, 30)], batch=512, prompt_budget=128)
    assert sizes(chunks) == {1: 30, 0: 98}


def test_prompts_are_served_one_after_the_other_the_shortest_first() -> None:
    assert sizes(plan([prompt(0, 300), prompt(1, 200), prompt(2, 100)], 512, 400)) == {0: 100, 2: 100, 1: 200}
    assert sizes(plan([prompt(0, 900), prompt(1, 900), prompt(2, 900)], 512, 300)) == {0: 300}


def test_the_prompt_that_came_first_gets_its_part_beside_any_number_of_short_ones() -> None:
    chats = [prompt(0, 20_000), *(prompt(number, 100) for number in range(1, 9))]
    assert sizes(plan(chats, 512, 128))[0] == 32


def test_a_prompt_almost_within_the_budget_is_taken_whole() -> None:
    assert sizes(plan([prompt(0, 150), prompt(1, 150)], 512, 128)) == {0: 150}
    assert sizes(plan([prompt(0, 150), prompt(1, 150)], 140, 128)) == {0: 128}


def test_chunks_are_in_the_order_of_their_sequences() -> None:
    chunks = plan([generating(5), prompt(3, 50), generating(4), prompt(0, 20)], 512, 512)
    assert [chunk.sequence for chunk in chunks] == [0, 3, 4, 5]


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([], 512, 512) == []


@given(
    pending=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    batch=st.integers(20, 600),
    budget=st.integers(1, 600),
)
def test_a_plan_fits_and_always_moves_on(pending: list[int], batch: int, budget: int) -> None:
    chats = [prompt(number, length) for number, length in enumerate(pending)]
    chunks = plan(chats, batch, budget)
    counts = sizes(chunks)
    assert len(counts) == len(chunks)
    assert sum(counts.values()) <= batch
    assert all(counts.get(number) == 1 for number, length in enumerate(pending) if length == 1)
    assert sum(count for number, count in counts.items() if pending[number] > 1) <= budget + budget // 2
    assert counts
    assert all(chunk.wants_output == (len(chunk.tokens) == pending[chunk.sequence]) for chunk in chunks)


def test_the_prompt_budget_follows_the_speed_of_the_machine() -> None:
    slow, fast = PromptBudget(), PromptBudget()
    for _ in range(20):
        slow.learn(128, 2.0)
        fast.learn(128, 0.001)
    assert slow.allowed(others_generate=True) == 16
    assert slow.allowed(others_generate=False) == 32
    assert fast.allowed(others_generate=True) == 512


def test_the_prompt_budget_ignores_steps_without_a_prompt() -> None:
    budget = PromptBudget()
    before = budget.allowed(others_generate=True)
    budget.learn(0, 1.0)
    budget.learn(1, 5.0)
    assert budget.allowed(others_generate=True) == before
