"""Keys have no place in a log: whatever looks like one is replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHORTEST = 6
"""Shorter keys of the settings are also words: replacing them would make nonsense of the log."""
_SHAPES = r"""mrk_[\w-]{16,}|(bearer |api[_-]?key["']?\s{0,3}[:=]\s{0,3}["']?)[^\s"'&,;]{3,}"""
_MASK = "…"


class KeyMask:
    """Replaces keys in texts: the known ones, those that this server makes, and what is called one."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        exact = [re.escape(key) for key in sorted(known, key=len, reverse=True) if len(key) >= _SHORTEST]
        self._pattern = re.compile("|".join([*exact, _SHAPES]), re.IGNORECASE)

    def applied(self, text: str) -> str:
        """Return the text without keys."""
        return self._pattern.sub(lambda found: f"{found[1] or ''}{_MASK}", text)
