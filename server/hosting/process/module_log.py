"""What a module's process prints: into the log book, with levels, and the last lines kept for explanations."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from ...log_book import LogBook
from .failure_place import FailurePlace
from .output_lines import LINES_PER_SECOND, RateLimit

KEPT_LINES = 200
_TELL_SECONDS = 1.0
_PREFIXES = {
    "crit: ": "critical",
    "critical: ": "critical",
    "err: ": "error",
    "error: ": "error",
    "warn: ": "warning",
    "warning: ": "warning",
    "info: ": "information",
    "information: ": "information",
    "dbg: ": "debug",
    "debug: ": "debug",
    "trc: ": "trace",
    "trace: ": "trace",
}


def split_level(line: str, from_stderr: bool) -> tuple[str, str]:
    """Return a line's level and its text without the level's prefix. What comes from stderr is an error otherwise."""
    lowered = line.lower()
    for prefix, level in _PREFIXES.items():
        if lowered.startswith(prefix):
            return level, line[len(prefix) :]
    return ("error" if from_stderr else "information"), line


class ModuleLog:
    """The log of one module: its processes' output, and what the supervisor says about it."""

    def __init__(self, book: LogBook, module_name: str) -> None:
        self._book = book
        self._name = module_name
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._limit = RateLimit(LINES_PER_SECOND, time.monotonic, self._dropped)
        self._last_error = ""
        self._place = FailurePlace()
        self._telling = False

    def line(self, line: str, from_stderr: bool) -> None:
        """Take one line of output."""
        if not line.strip():
            return
        self._last.append(line)
        level, text = split_level(line, from_stderr)
        if from_stderr:
            self._place.line(line)
        if level in ("error", "critical"):
            self._last_error = text
        if self._limit.allows():
            self._book.add(text, level, self._name)
        elif not self._telling:
            # The next line may be long in coming: what is missing is told soon anyway.
            self._telling = True
            asyncio.get_running_loop().call_later(_TELL_SECONDS, self.end_of_output)

    def say(self, text: str, level: str = "information") -> None:
        """Log something about the module."""
        self._book.add(text, level, self._name, "supervisor")

    def new_process(self) -> None:
        """What follows comes from another process."""
        self._last_error = ""
        self._place = FailurePlace()

    def end_of_output(self) -> None:
        """Report the lines that were dropped so far."""
        self._telling = False
        self._limit.end()

    @property
    def last_lines(self) -> list[str]:
        """The last 200 lines of output, oldest first."""
        return list(self._last)

    @property
    def last_error(self) -> str:
        """The last line the current process wrote as an error; for an uncaught exception its text and its place."""
        error = self._last_error.strip()
        return f"{error} ({self._place.text})" if error and self._place.text else error

    def _dropped(self, count: int) -> None:
        self._book.add(f"… {count} more lines were left out: it prints too fast.", "warning", self._name, "supervisor")
