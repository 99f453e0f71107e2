"""Random ids: the bytes are drawn for many at a time, because to ask the system for each costs more than the rest."""

from __future__ import annotations

import os

_BLOCK_IDS = 256


class RandomIds:
    """Gives out ids that cannot be guessed, as ``digits`` (an even number) hexadecimal digits."""

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._drawn: list[str] = []

    def draw(self) -> str:
        """Return the next id."""
        if not self._drawn:
            block = os.urandom(self._digits // 2 * _BLOCK_IDS).hex()
            self._drawn = [block[start : start + self._digits] for start in range(0, len(block), self._digits)]
        return self._drawn.pop()
