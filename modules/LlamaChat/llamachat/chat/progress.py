"""How whoever waits for a download hears of it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes that are here, and the bytes in all (0 while unknown)."""


def no_progress(_name: str, _done: int, _total: int) -> None:
    """For those who do not want to hear of it."""
