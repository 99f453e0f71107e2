"""Which beginnings of conversations are stored: found by their tokens and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from llamachat.engine.prompt_index import ROOT, Found, Piece, PromptIndex, as_bytes

FULL = 4


def store(index: PromptIndex, tokens: Sequence[int]) -> list[Piece]:
    """Store all that is missing of a conversation, as the cache does; return its new pieces."""
    stored = []
    while (missing := index.missing(tokens, ended=True, least=1)) is not None:
        _, piece = missing
        shorter = index.beginning_of(piece)
        if shorter is not None:
            index.remove(shorter)
        index.add(piece)
        stored.append(piece)
    return stored


def found_length(path: list[Found]) -> int:
    return path[-1].end if path else 0


def common(left: Sequence[int], right: Sequence[int]) -> int:
    length = 0
    while length < min(len(left), len(right)) and left[length] == right[length]:
        length += 1
    return length


TALKS = st.lists(st.lists(st.integers(0, 2), max_size=14), max_size=8)


@given(TALKS, st.lists(st.integers(0, 2), max_size=16))
def test_the_longest_stored_beginning_is_found(talks: list[list[int]], wanted: list[int]) -> None:
    index = PromptIndex(FULL)
    for talk in talks:
        store(index, talk)
    path = index.find(wanted)
    assert found_length(path) == max((common(talk, wanted) for talk in talks), default=0)
    # The path is those very tokens, piece by piece.
    parent, held = ROOT, b""
    for found in path:
        assert found.piece.parent == parent
        assert found.start == len(held) // 4
        held += found.piece.tokens[: 4 * (found.end - found.start)]
        parent = found.piece.digest
    assert held == as_bytes(wanted[: found_length(path)])


@given(TALKS)
def test_a_common_beginning_is_stored_once(talks: list[list[int]]) -> None:
    index = PromptIndex(FULL)
    for talk in talks:
        store(index, talk)
    full = {tuple(talk[:end]) for talk in talks for end in range(FULL, len(talk) + 1, FULL)}
    ends = {tuple(talk) for talk in talks if len(talk) % FULL}
    assert len(index) <= len(full) + len(ends)
    assert all(index.missing(talk, ended=True, least=1) is None for talk in talks)


@given(TALKS, st.lists(st.integers(0, 2), max_size=16))
def test_where_states_cannot_be_cut_only_a_whole_one_fits(talks: list[list[int]], wanted: list[int]) -> None:
    index = PromptIndex(0)
    for talk in talks:
        index.add(Piece(ROOT, as_bytes(talk)))
    fitting = [talk for talk in talks if talk and wanted[: len(talk)] == talk]
    assert found_length(index.find(wanted)) == max(map(len, fitting), default=0)


def test_the_next_turn_replaces_only_the_unfinished_piece() -> None:
    index = PromptIndex(FULL)
    assert [piece.length for piece in store(index, range(10))] == [4, 4, 2]
    assert [piece.length for piece in store(index, range(17))] == [4, 4, 1]
    assert len(index) == 5


def test_a_conversation_that_grows_gives_full_pieces_only() -> None:
    index = PromptIndex(FULL)
    assert index.missing(range(3), ended=False, least=1) is None
    missing = index.missing(range(7), ended=False, least=1)
    assert missing is not None
    assert missing[1] == Piece(ROOT, as_bytes(range(4)))
    index.add(missing[1])
    assert index.missing(range(7), ended=False, least=1) is None
    ended = index.missing(range(7), ended=True, least=1)
    assert ended is not None
    assert [found.end for found in ended[0]] == [4]
    assert ended[1].tokens == as_bytes(range(4, 7))


def test_a_few_new_tokens_are_not_worth_it() -> None:
    index = PromptIndex(FULL)
    store(index, range(8))
    assert index.missing(range(10), ended=True, least=3) is None
    assert index.missing(range(11), ended=True, least=3) is not None


def test_pieces_after_a_lost_one_are_found_again_once_it_is_back() -> None:
    index = PromptIndex(FULL)
    first, *_ = store(index, range(12))
    index.remove(first)
    assert index.find(range(12)) == []
    missing = index.missing(range(12), ended=True, least=1)
    assert missing == ([], first)
    index.add(first)
    assert found_length(index.find(range(12))) == 12


def test_what_is_stored_can_be_learnt_anew() -> None:
    index = PromptIndex(FULL)
    store(index, range(12))
    index.replace([Piece(ROOT, as_bytes([7, 7]))])
    assert len(index) == 1
    assert index.find(range(12)) == []
    assert found_length(index.find([7, 7, 8])) == 2


def test_no_more_is_found_than_asked_for() -> None:
    index = PromptIndex(FULL)
    store(index, range(8))
    assert found_length(index.find(range(8), 7)) == 7
