"""What a model thinks is told apart from what it answers, however the marks are cut over tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llamachat.chat.reasoning import Marks, marks_of, separate
from llamachat.engine.log_probabilities import Candidate, LogProbability
from llamachat.engine.request import Delta, Finish

THINK = Marks("<think>", ("</think>",))
HARMONY = marks_of("{{ '<|channel|>analysis<|message|>' + message.thinking }}")
END = Finish("completed", prompt_tokens=3, completion_tokens=0, cached_tokens=0, inference_ms=0)


def entry(text: str, at: int) -> LogProbability:
    return LogProbability(Candidate(text, text.encode(), -0.5), (), at)


def deltas(pieces: Sequence[str]) -> list[Delta | Finish]:
    """One delta for each token, as the engine yields them."""
    events: list[Delta | Finish] = []
    at = 0
    for number, piece in enumerate(pieces, 1):
        events.append(Delta(piece, number, (entry(piece, at),)))
        at += len(piece)
    return [*events, END]


def parts(pieces: Sequence[str], marks: Marks | None = THINK, *, is_open: bool = False) -> tuple[str, str, Finish]:
    reasoning, answer, last = "", "", END
    for event in separate(deltas(pieces), marks, is_open=is_open):
        if isinstance(event, Finish):
            last = event
        elif event.reasoning:
            assert not answer, "the thinking comes first"
            reasoning += event.text
        else:
            answer += event.text
    return reasoning, answer, last


def test_the_thinking_comes_apart_and_the_marks_never_show() -> None:
    reasoning, answer, finish = parts(["<think>", "\n", "Hm", ", so", "\n", "</think>", "\n\n", "Yes", "."])
    assert (reasoning, answer) == ("Hm, so", "Yes.")
    assert finish.reasoning_tokens == 6


def test_a_reply_may_go_on_inside_what_the_prompt_has_opened() -> None:
    assert parts(["Hm", "</think>", "Yes"], is_open=True)[:2] == ("Hm", "Yes")
    assert parts(["<think>", "Hm", "</think>", "Yes"], is_open=True)[:2] == ("Hm", "Yes")
    assert parts(["</think>", "Yes"], is_open=True)[:2] == ("", "Yes")


@pytest.mark.parametrize("text", ["Yes", "  Yes\n", "<thin", "<", "a <think>b</think>", "<b>x</b>", "", " \n"])
def test_a_reply_without_thinking_stays_as_it_is(text: str) -> None:
    reasoning, answer, finish = parts(list(text))
    assert (reasoning, answer, finish.reasoning_tokens) == ("", text, 0)


def test_later_marks_are_text() -> None:
    text = "Use <think> and </think>."
    assert parts(["<think>", "x", "</think>", text])[:2] == ("x", text)


def test_thinking_that_does_not_end_is_no_answer() -> None:
    reasoning, answer, finish = parts(["<think>", "so ", "</thi"])
    assert (reasoning, answer, finish.reasoning_tokens) == ("so </thi", "", 3)
    assert parts(["so"], is_open=True)[:2] == ("so", "")


def test_a_model_that_does_not_think_costs_nothing() -> None:
    events = deltas(["<think>", "a"])
    assert list(separate(events, None, is_open=False)) == events


def test_every_token_of_the_answer_keeps_its_log_probability() -> None:
    pieces = ["<think>", "\n", "Hm", "</think>", "\n\n", "Yes", ", ", "sure"]
    told = {"reasoning": "", "answer": ""}
    for event in separate(deltas(pieces), THINK, is_open=False):
        if isinstance(event, Delta):
            part = "reasoning" if event.reasoning else "answer"
            told[part] += "".join(item.chosen.text for item in event.log_probabilities)
    assert told == {"reasoning": "Hm", "answer": "Yes, sure"}


def test_channels_of_gpt_oss() -> None:
    thinking = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes"
    assert parts(list(thinking), HARMONY)[:2] == ("Hm", "Yes")
    assert parts(["<|channel|>", "final", "<|message|>", "Yes"], HARMONY)[:2] == ("", "Yes")


@pytest.mark.parametrize(
    ("template", "begins"),
    [
        ("{{ content.split('</think>')[-1] }}", "<think>"),
        ("{{ '<think>\\n' }}", "<think>"),
        ("{{ '[THINK]' + x + '[/THINK]' }}", "[THINK]"),
        ('{%- set open = "<seed:think>" -%}', "<seed:think>"),
        ("<reasoning>", "<reasoning>"),
        ("{{ '<|channel>thought\\n' + text + '\\n<channel|>' }}", "<|channel>thought"),
        ("{{ '<|start|>assistant<|channel|>analysis<|message|>' }}", "<|channel|>analysis<|message|>"),
    ],
)
def test_the_template_tells_the_marks(template: str, begins: str) -> None:
    marks = marks_of(template)
    assert marks is not None
    assert marks.begins == begins


def test_a_template_without_marks() -> None:
    assert marks_of("{% for message in messages %}<|{{ message.role }}|>{% endfor %}") is None


@pytest.mark.parametrize(
    ("prompt", "is_open"),
    [("…assistant\n<think>\n", True), ("<think>", True), ("<think>\n\n</think>\n\n", False), ("assistant\n", False)],
)
def test_a_prompt_that_begins_the_thinking(prompt: str, is_open: bool) -> None:
    assert THINK.are_open_after(prompt) is is_open


@given(
    thought=st.text(alphabet="ab <>/think\n", max_size=20),
    said=st.text(alphabet="ab <>/think\n", max_size=20),
    cuts=st.lists(st.integers(1, 6), max_size=60),
    is_open=st.booleans(),
)
def test_however_it_is_cut_the_parts_are_the_same(thought: str, said: str, cuts: list[int], is_open: bool) -> None:
    thought = thought.replace("</think>", "").strip()
    if thought.startswith("<think>") or "</think>" in thought:
        return
    text = ("" if is_open else "<think>") + f"\n{thought}\n</think>\n\n{said}"
    pieces, left = [], text
    for cut in [*cuts, len(text)]:
        pieces.append(left[:cut])
        left = left[cut:]
    pieces = [piece for piece in pieces if piece]
    assert parts(pieces, is_open=is_open)[:2] == (thought, said.lstrip())
