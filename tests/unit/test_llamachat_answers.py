"""The shapes of answers: completions and their chunks, log-probabilities, and what a command's reply shows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from llamachat.chat.completions import CompletionShaper, usage_of
from llamachat.chat.reply_writer import ReplyWriter
from llamachat.engine.log_probabilities import Candidate, LogProbability, WaitingEntries
from llamachat.engine.request import Delta, Finish, Generation, Request
from llamachat.engine.slot import Slot

FINISH = Finish("length", 3, 9, 2, 5, reasoning_tokens=4)


def entry(text: str, at: int) -> LogProbability:
    candidate = Candidate(text, text.encode(), -0.25)
    return LogProbability(candidate, (candidate, Candidate("", b"", -3.0)), at)


def shown(text: str) -> dict[str, Any]:
    likeliest = [
        {"token": text, "logprob": -0.25, "bytes": list(text.encode())},
        {"token": "", "logprob": -3.0, "bytes": []},
    ]
    return {**likeliest[0], "top_logprobs": likeliest}


EVENTS: list[Delta | Finish] = [
    Delta("hm", 1, (entry("hm", 0),), reasoning=True),
    Delta("é", 2, (entry("é", 2),)),
    Delta("!", 3, (entry("!", 3),)),
    FINISH,
]


def test_a_whole_completion() -> None:
    completion = CompletionShaper("m", with_logprobs=True).whole(EVENTS)
    [choice] = completion["choices"]
    assert choice["message"] == {"role": "assistant", "content": "é!", "reasoning_content": "hm"}
    assert choice["logprobs"] == {"content": [shown("é"), shown("!")]}
    assert choice["finish_reason"] == "length"
    assert completion["usage"] == usage_of(FINISH)
    assert completion["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


def test_chunks_carry_the_same() -> None:
    chunks = list(CompletionShaper("m", with_logprobs=True).chunks(EVENTS))
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""}, {"reasoning_content": "hm"}, {"content": "é"}, {"content": "!"}, {},
    ]  # fmt: skip
    assert [choice["logprobs"] for choice in choices[1:]] == [
        None, {"content": [shown("é")]}, {"content": [shown("!")]}, None,
    ]  # fmt: skip


def test_nothing_is_said_of_what_was_not_asked() -> None:
    shaper = CompletionShaper("m")
    plain: list[Delta | Finish] = [Delta("a", 1), FINISH]
    [choice] = shaper.whole(plain)["choices"]
    assert choice["logprobs"] is None
    assert "reasoning_content" not in choice["message"]
    assert all(chunk["choices"][0]["logprobs"] is None for chunk in shaper.chunks(plain))


def test_entries_leave_with_the_first_character_of_their_token() -> None:
    entries = WaitingEntries()
    for text, at in [("a", 0), ("\ud83c", 1), ("", 1), ("bc", 2)]:
        entries.add(entry(text.encode("utf-8", "replace").decode(), at))
    assert [item.at for item in entries.leave(1)] == [0]
    assert entries.leave(1) == ()
    assert [item.at for item in entries.leave(2)] == [1, 1], "one character of two tokens"
    assert [item.at for item in entries.leave(3)] == [2]


def slot(**more: Any) -> Slot:
    return Slot(Generation(Request([1], **more)), max_tokens=100)


def take(chat: Slot, *pieces: bytes) -> list[Delta]:
    for number, piece in enumerate(pieces):
        if chat.take(number, piece, is_end=False, log_probability=entry(piece.decode(), chat.text_length)):
            break
    else:
        chat.finish("completed")
    chat.generation.put(FINISH)
    return [event for event in chat.generation if isinstance(event, Delta)]


def test_tokens_of_a_stop_string_are_not_listed() -> None:
    deltas = take(slot(stop=("STOP",)), b"go", b" S", b"TO", b"P", b"x")
    assert "".join(delta.text for delta in deltas) == "go "
    assert [item.chosen.text for delta in deltas for item in delta.log_probabilities] == ["go", " S"]


def test_tokens_of_what_only_began_like_a_stop_string_are_listed() -> None:
    deltas = take(slot(stop=("STOP",)), b"S", b"T", b"A", b"S")
    assert "".join(delta.text for delta in deltas) == "STAS"
    assert "".join(item.chosen.text for delta in deltas for item in delta.log_probabilities) == "STAS"


class Reply:
    """What a command's reply buffer gets."""

    def __init__(self) -> None:
        self.text = ""
        self.updates: list[str] = []
        self.text_at_update: list[str] = []

    def write(self, text: str) -> None:
        self.text += text

    def update(self, /, **fields: Any) -> None:
        assert set(fields) == {"reasoning"}
        self.updates.append(fields["reasoning"])
        self.text_at_update.append(self.text)


def test_a_reply_holds_the_answer_and_a_field_the_thinking() -> None:
    reply = Reply()
    writer = ReplyWriter(reply)
    for event in EVENTS:
        if isinstance(event, Delta):
            writer.add(event)
    writer.flush()
    assert (reply.text, reply.updates, reply.text_at_update) == ("é!", ["hm"], [""])
    assert writer.fields(with_logprobs=False) == {"reasoning": "hm"}
    assert writer.fields(with_logprobs=True)["logprobs"] == {"content": [shown("é"), shown("!")]}


def test_text_is_written_at_once_and_then_in_pieces() -> None:
    now, reply = [5.0], Reply()
    writer, written = ReplyWriter(reply, clock=lambda: now[0]), []
    for text in "abcd":
        writer.add(Delta(text, 1))
        written.append(reply.text)
        now[0] += 0.016
    assert written == ["a", "a", "abc", "abc"]
    writer.flush()
    assert reply.text == "abcd"


def test_a_plain_reply_has_no_fields() -> None:
    reply = Reply()
    writer = ReplyWriter(reply)
    writer.add(Delta("a", 1))
    assert (reply.text, reply.updates) == ("a", [])
    assert writer.fields(with_logprobs=False) == {}


@pytest.mark.parametrize("characters", [1, 1000, 40_000])
def test_long_thinking_can_be_followed_without_flooding_the_reply(characters: int) -> None:
    reply = Reply()
    writer = ReplyWriter(reply)
    for number in range(characters):
        writer.add(Delta("x", number + 1, reasoning=True))
    writer.add(Delta("done", characters + 1))
    assert reply.updates[-1] == "x" * characters
    lengths = [0, *map(len, reply.updates)]
    assert all(later - earlier <= 16 + later // 40 for earlier, later in pairwise(lengths))
    assert sum(lengths) <= 60 * characters
