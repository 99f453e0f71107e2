"""Saying once in the log what cannot be looked at, and once that it can be again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..log_book import LogBook


class TroubleLog:
    """Remembers what has been said, because what cannot be read is tried again every few seconds."""

    def __init__(self, book: LogBook) -> None:
        self._book = book
        self._said: dict[Path, str] = {}

    def now(self, troubles: Mapping[Path, str]) -> None:
        """Take what cannot be looked at now (path → reason)."""
        for path, reason in troubles.items():
            if self._said.get(path) != reason:
                text = f"{path} cannot be read: {reason}. What is known of it stays as it is; it is tried again."
                self._book.add(text, "warning")
        for path in self._said.keys() - troubles.keys():
            self._book.add(f"{path} can be read again.")
        self._said = dict(troubles)
