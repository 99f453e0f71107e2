"""How likely each generated token was: what is told of it, and when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A token that may come next. ``data`` are its bytes, perhaps a part of a character; a control token has none."""

    text: str
    data: bytes
    log_probability: float


@dataclass(frozen=True)
class LogProbability:
    """The token that was chosen, and the likeliest ones at its place, the likeliest first.

    ``at``: index in the reply of the first character that the token is a part of.
    """

    chosen: Candidate
    likeliest: tuple[Candidate, ...]
    at: int


class WaitingEntries:
    """Log-probabilities of tokens whose text is held back; they leave with the text's first character.

    So a stop string that ends a reply takes its tokens' entries with it.
    """

    def __init__(self) -> None:
        self._waiting: deque[LogProbability] = deque()

    def add(self, entry: LogProbability) -> None:
        """Keep the next token's entry."""
        self._waiting.append(entry)

    def leave(self, shown: int) -> tuple[LogProbability, ...]:
        """Return the entries that go with the first ``shown`` characters of the reply and have not left yet."""
        leaving = []
        while self._waiting and self._waiting[0].at < shown:
            leaving.append(self._waiting.popleft())
        return tuple(leaving)
