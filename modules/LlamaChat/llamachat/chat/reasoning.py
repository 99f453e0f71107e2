"""Telling apart what a model thinks and what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from llamachat.engine.log_probabilities import LogProbability
from llamachat.engine.request import Delta, Finish
from llamachat.engine.text_tail import possible_length


@dataclass(frozen=True)
class Marks:
    """The texts between which a model thinks. ``skipped``: what only introduces an answer without thinking."""

    begins: str
    ends: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return (self.begins, *self.ends, *self.skipped)

    def are_open_after(self, prompt: str) -> bool:
        """Whether a prompt that ends like this has begun the thinking."""
        return prompt.rstrip().endswith(self.begins)


def _pair(begin: str, end: str) -> Marks:
    return Marks(begin, (end,))


_FINAL = "<|channel|>final<|message|>"
_KNOWN = (
    _pair("<think>", "</think>"),
    _pair("<thinking>", "</thinking>"),
    _pair("<thought>", "</thought>"),
    _pair("<reasoning>", "</reasoning>"),
    _pair("<seed:think>", "</seed:think>"),
    _pair("[THINK]", "[/THINK]"),
    _pair("◁think▷", "◁/think▷"),
    _pair("<|START_THINKING|>", "<|END_THINKING|>"),
    _pair("<|channel>thought", "<channel|>"),  # Gemma 4
    # gpt-oss: every message names its channel, and thinking ends where the next message begins.
    Marks("<|channel|>analysis<|message|>", (f"<|end|><|start|>assistant{_FINAL}", _FINAL), (_FINAL,)),
)


def marks_of(template: str) -> Marks | None:
    """Return the marks that a chat template knows, None when it knows none."""
    return next((marks for marks in _KNOWN if any(text in template for text in (marks.begins, *marks.ends))), None)


def separate(events: Iterable[Delta | Finish], marks: Marks | None, *, is_open: bool) -> Iterator[Delta | Finish]:
    """Yield a reply's events with the thinking told apart and without the marks.

    ``is_open``: the reply goes on inside the thinking, because its prompt has begun it. Only thinking at the very
    beginning of a reply counts: later a mark is a text like any other.
    """
    if marks is None:
        yield from events
        return
    parts = _Parts(marks, is_open=is_open)
    for event in events:
        if isinstance(event, Delta):
            yield from parts.take(event)
        else:
            yield from parts.rest()
            yield replace(event, reasoning_tokens=parts.reasoning_tokens)


class _Part(Enum):
    BEGINNING = 0
    REASONING = 1
    ANSWER = 2


class _Parts:
    """Cuts a growing reply into thinking and answer, and holds back what could still become a mark."""

    def __init__(self, marks: Marks, *, is_open: bool) -> None:
        self._marks = marks
        self._is_open = is_open
        self._part = _Part.BEGINNING
        self._drops_space = True
        self._held = ""
        self._at = 0  # index in the reply where the held text begins
        self._tokens = 0
        self._entries: deque[LogProbability] = deque()
        self.reasoning_tokens = 0

    def take(self, delta: Delta) -> Iterator[Delta]:
        """Yield what may be shown now that this text has come."""
        self._held += delta.text
        self._tokens = delta.tokens
        self._entries.extend(delta.log_probabilities)
        if self._part is _Part.BEGINNING:
            self._read_beginning()
        if self._part is _Part.REASONING:
            yield from self._read_reasoning()
        if self._part is _Part.ANSWER:
            yield from self._read_answer()

    def rest(self) -> Iterator[Delta]:
        """Yield what was held back, when the reply has ended."""
        thinking = self._part is _Part.REASONING or (self._part is _Part.BEGINNING and self._is_open)
        if thinking:
            self.reasoning_tokens = self._tokens
        yield from self._show(len(self._held.rstrip()) if thinking else len(self._held), reasoning=thinking)

    def _read_beginning(self) -> None:
        text = self._held.lstrip()
        openings = (self._marks.begins, *self._marks.skipped)
        found = next((mark for mark in openings if text.startswith(mark)), None)
        if found is not None:
            self._drop(self._held.index(found) + len(found))
            self._part = _Part.REASONING if found == self._marks.begins else _Part.ANSWER
        elif not any(mark.startswith(text) for mark in openings):
            self._part = _Part.REASONING if self._is_open else _Part.ANSWER
            self._drops_space = self._is_open

    def _read_reasoning(self) -> Iterator[Delta]:
        self._drop_space()
        found = [(self._held.index(mark), mark) for mark in self._marks.ends if mark in self._held]
        if not found:
            safe = self._held[: len(self._held) - possible_length(self._held, self._marks.ends)]
            yield from self._show(len(safe.rstrip()), reasoning=True)
            return
        at, mark = min(found)
        text_length = len(self._held[:at].rstrip())
        yield from self._show(text_length, reasoning=True)
        self._drop(at - text_length + len(mark))
        self._part = _Part.ANSWER
        self._drops_space = True
        self.reasoning_tokens = self._tokens

    def _read_answer(self) -> Iterator[Delta]:
        self._drop_space()
        yield from self._show(len(self._held), reasoning=False)

    def _show(self, length: int, *, reasoning: bool) -> Iterator[Delta]:
        text = self._held[:length]
        entries = self._drop(length)
        if text:
            yield Delta(text, self._tokens, entries, reasoning)

    def _drop_space(self) -> None:
        """Drop the white space between a mark and the text after it."""
        if self._drops_space:
            self._drop(len(self._held) - len(self._held.lstrip()))
            self._drops_space = not self._held

    def _drop(self, length: int) -> tuple[LogProbability, ...]:
        """Let go of the beginning of the held text; return the entries of the tokens that begin in it."""
        self._held = self._held[length:]
        self._at += length
        entries = []
        while self._entries and self._entries[0].at < self._at:
            entries.append(self._entries.popleft())
        return tuple(entries)
