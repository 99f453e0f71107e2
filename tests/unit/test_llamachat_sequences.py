"""What the context remembers, and who goes on in which sequence."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from llamachat.engine.sequences import Sequence, SequencePool, common_length


class FakeMemory:
    """Keeps for each sequence the tokens that llama.cpp would have, and refuses what it would refuse."""

    def __init__(self, can_truncate: bool = True, can_share: bool = True) -> None:
        self.held: dict[int, list[int]] = {}
        self.gone: dict[int, range] = {}
        self.can_truncate = can_truncate
        self.can_share = can_share

    def truncate(self, sequence: int, length: int) -> bool:
        if self.can_truncate:
            del self.held.get(sequence, [])[length:]
        return self.can_truncate

    def clear(self, sequence: int) -> None:
        self.held.pop(sequence, None)

    def share(self, source: int, target: int, length: int) -> bool:
        assert not self.held.get(target), "only an empty sequence can be given a beginning"
        if self.can_share:
            self.held[target] = self.held[source][:length]
        return self.can_share

    def holds(self, sequence: int, length: int) -> bool:
        return length not in self.gone.get(sequence, ())


def fill(memory: FakeMemory, sequence: Sequence, tokens: list[int]) -> None:
    """Decode what the sequence lacks of these tokens."""
    memory.held[sequence.id] = list(tokens)
    sequence.tokens = list(tokens)


def ended(pool: SequencePool, memory: FakeMemory, tokens: list[int]) -> Sequence:
    sequence = pool.acquire(tokens)
    fill(memory, sequence, tokens)
    pool.release(sequence)
    return sequence


def test_the_next_turn_goes_on_in_its_own_sequence() -> None:
    memory = FakeMemory()
    pool = SequencePool(memory, 4)
    first = ended(pool, memory, [1, 2, 3])
    again = pool.acquire([1, 2, 3, 4, 5])
    assert again is first
    assert again.tokens == [1, 2, 3]


def test_the_last_token_is_always_decoded_again() -> None:
    memory = FakeMemory()
    pool = SequencePool(memory, 4)
    ended(pool, memory, list(range(20)))
    assert pool.acquire(list(range(20))).tokens == list(range(19))
    assert memory.held[0] == list(range(19))


def test_a_common_system_prompt_is_shared_and_the_other_chat_stays() -> None:
    memory = FakeMemory()
    pool = SequencePool(memory, 4)
    system = list(range(100))
    other = ended(pool, memory, [*system, *range(500, 550)])
    mine = pool.acquire([*system, 7, 8])
    assert mine is not other
    assert mine.tokens == system == memory.held[mine.id]
    assert other.tokens == [*system, *range(500, 550)]


def test_the_beginning_of_a_running_chat_is_shared_too() -> None:
    memory = FakeMemory()
    pool = SequencePool(memory, 4)
    running = pool.acquire(list(range(50)))
    fill(memory, running, list(range(50)))
    second = pool.acquire([*range(40), 99])
    assert second is not running
    assert second.tokens == list(range(40)) == memory.held[second.id]


def test_a_short_beginning_is_not_worth_a_copy() -> None:
    memory = FakeMemory()
    pool = SequencePool(memory, 2)
    ended(pool, memory, [1, 2, 3, 4])
    assert pool.acquire([1, 2, 3, 9]).tokens == []


def test_what_cannot_be_copied_is_computed() -> None:
    memory = FakeMemory(can_share=False)
    pool = SequencePool(memory, 2)
    ended(pool, memory, list(range(50)))
    assert pool.acquire([*range(40), 99]).tokens == []


def test_the_only_idle_sequence_keeps_what_the_new_chat_begins_with() -> None:
    memory, evicted = FakeMemory(), []
    pool = SequencePool(memory, 1, on_eviction=lambda sequence: evicted.append(list(sequence.tokens)))
    ended(pool, memory, list(range(50)))
    assert pool.acquire([*range(40), 99]).tokens == list(range(40)) == memory.held[0]
    assert evicted == [list(range(50))], "it can be stored before its end is lost"


def test_a_model_that_cannot_rewind_goes_on_only_at_the_end() -> None:
    memory = FakeMemory(can_truncate=False)
    pool = SequencePool(memory, 4, can_rewind=False)
    ended(pool, memory, [1, 2, 3])
    assert pool.acquire([1, 2, 9, 9]).tokens == []
    assert pool.acquire([1, 2, 3, 4]).tokens == [1, 2, 3]


def test_a_refused_truncation_starts_from_nothing() -> None:
    memory = FakeMemory(can_truncate=False)
    pool = SequencePool(memory, 1)
    ended(pool, memory, list(range(20)))
    assert pool.acquire([*range(19), 99]).tokens == []
    assert memory.held == {}


def test_the_oldest_idle_chat_makes_place_and_running_ones_never_do() -> None:
    memory, evicted = FakeMemory(), []
    pool = SequencePool(memory, 3, on_eviction=lambda sequence: evicted.append(list(sequence.tokens)))
    oldest, newer = ended(pool, memory, [1, 1]), ended(pool, memory, [2, 2])
    running = pool.acquire([3, 3])
    fill(memory, running, [3, 3])
    assert pool.acquire([4, 4]) is oldest
    assert pool.acquire([5, 5]) is newer
    assert evicted == [[1, 1], [2, 2]]
    assert running.tokens == [3, 3]


def test_common_length() -> None:
    assert common_length([1, 2, 3], [1, 2, 4], 10) == 2
    assert common_length([1, 2, 3], [1, 2, 3], 2) == 2
    assert common_length([], [1], 5) == 0


TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


class PoolMachine(RuleBasedStateMachine):
    """Chats come, end and are evicted in any order: nobody ever continues text that is not his own."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = FakeMemory()
        self.pool = SequencePool(self.memory, 5, worth_copying=2)
        self.running: list[Sequence] = []

    @precondition(lambda self: len(self.running) < 3)
    @rule(tokens=TOKENS)
    def begin(self, tokens: list[int]) -> None:
        sequence = self.pool.acquire(tokens)
        assert sequence not in self.running
        assert len(sequence.tokens) < len(tokens)
        assert sequence.tokens == tokens[: len(sequence.tokens)] == self.memory.held.get(sequence.id, [])
        fill(self.memory, sequence, tokens)
        self.running.append(sequence)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 10), more=TOKENS)
    def end(self, which: int, more: list[int]) -> None:
        sequence = self.running.pop(which % len(self.running))
        fill(self.memory, sequence, [*sequence.tokens, *more])
        self.pool.release(sequence)

    @invariant()
    def the_books_agree_with_the_memory(self) -> None:
        for sequence in self.running:
            assert self.memory.held[sequence.id] == sequence.tokens
        assert self.pool.tokens_held == sum(map(len, self.memory.held.values()))


TestPoolMachine = PoolMachine.TestCase
