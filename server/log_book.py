"""The server's log entries, kept in memory for the log pages and written to the log file as they come."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timezone
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from .key_mask import KeyMask
from .private_files import opener, private_folder
from .set_aside import only_file, only_folder
from .text import well_formed

KEPT_ENTRIES = 5000
KEPT_CHARACTERS = 2_000_000
"""Of all entries together: one answer can hold them all."""
MAX_ENTRY_CHARACTERS = 8192
MAX_NAME_CHARACTERS = 100
"""Of a category or a label."""
_OVERHANG = 256
"""What is looked at behind that, for a key that is cut in two."""
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What can move a terminal's cursor, or end a line where nobody sees it."""


class LogEntry(msgspec.Struct, frozen=True):
    """One entry; ``timestamp`` is ISO 8601 UTC, ``level`` lower case."""

    id: int
    timestamp: str
    entry: str
    level: str
    category: str
    label: str
    exception: str = ""


class LogBook:
    """Everything the server and its modules said, newest last; the oldest entries fall out."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """``keys``: texts that no entry may hold."""
        self._mask = KeyMask(keys)
        self._entries: deque[LogEntry] = deque()
        self._characters = 0
        self._last_id = 0
        self._logger = logging.getLogger("millrace")

    def add(self, entry: str, level: str = "information", category: str = "Server", label: str = "") -> None:
        """Keep an entry; an unknown level counts as information, too long a text is cut and says so."""
        known = level.lower() if level.lower() in _LEVELS else "information"
        text = _TERMINAL_CODES.sub("", well_formed(entry))
        category, label = (_one_line(self._mask.applied(name[: 2 * MAX_NAME_CHARACTERS])) for name in (category, label))
        length = len(text)
        text = self._mask.applied(text[: MAX_ENTRY_CHARACTERS + _OVERHANG])
        if length > MAX_ENTRY_CHARACTERS:
            text = f"{text[:MAX_ENTRY_CHARACTERS]} … ({length} characters)"
        self._last_id += 1
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._keep(LogEntry(self._last_id, now, f"{category}: {text}", known, category, label))
        self._logger.log(_LEVELS[known], "%s: %s", category, _CONTROL.sub(_escaped, text).replace("\n", "\n    "))

    def _keep(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        self._characters += len(entry.entry)
        while len(self._entries) > KEPT_ENTRIES or self._characters > KEPT_CHARACTERS:
            self._characters -= len(self._entries.popleft().entry)

    def after(self, last_id: int, count: int) -> list[LogEntry]:
        """Return the entries with a higher id: the newest ``count`` of them, oldest first."""
        found = [entry for entry in self._entries if entry.id > last_id]
        return found[-count:] if count > 0 else []


def _one_line(text: str) -> str:
    """Return a name as one short line: nothing in it can pass for another entry."""
    plain = _TERMINAL_CODES.sub("", well_formed(text[:MAX_NAME_CHARACTERS]))
    line = _CONTROL.sub(_escaped, plain).replace("\n", "\\n")
    return line if len(text) <= MAX_NAME_CHARACTERS else f"{line}…"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class _PrivateLog(RotatingFileHandler):
    """Log files that only this user may read."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(open(self.baseFilename, "ab", opener=opener), encoding=self.encoding)


def configure_logging(folder: Path) -> None:
    """Send the log to the terminal and to ``millrace.log`` in the folder (5 files of 4 MB)."""
    damaged = [only_folder(folder)]
    private_folder(folder)
    damaged.append(only_file(folder / "millrace.log"))
    style = logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S")
    file = _PrivateLog(folder / "millrace.log", maxBytes=4_000_000, backupCount=4, encoding="utf-8")
    terminal = logging.StreamHandler()
    logger = logging.getLogger("millrace")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in (file, terminal):
        handler.setFormatter(style)
        logger.addHandler(handler)
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # it repeats what any stranger asks for
    for text in filter(None, damaged):
        logger.error(text)
