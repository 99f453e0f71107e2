"""Where a module's messages go: to the server when it listens, else to the console and a file."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from enum import Enum, Flag
from pathlib import Path
from typing import Any, TextIO

from .protocol import Log
from .texts import encodable

__all__ = ["LogMethod", "LogVerbosity", "ModuleLogger"]

MAX_ENTRY = 16 * 1024
"""Characters of an entry that the server is sent; its log keeps fewer."""
MAX_NAME = 256

LogSink = Callable[[Log], bool]
"""Takes one entry for the server. Returns False when it cannot; must not block."""

_LEVELS = {
    "trc": "trace",
    "dbg": "debug",
    "info": "information",
    "warn": "warning",
    "err": "error",
    "crit": "critical",
    "fatal": "critical",
}
_KNOWN_LEVELS = frozenset({"trace", "debug", "information", "warning", "error", "critical"})


class LogVerbosity(Enum):
    """How much a module should say; the server passes it on, modules read it."""

    Unknown = "unknown"
    Quiet = "quiet"
    Info = "info"
    Loud = "loud"

    @classmethod
    def read(cls, text: str) -> LogVerbosity:
        """Return the verbosity of that name in any letter case; ``Quiet`` for anything else."""
        try:
            return cls(text.strip().lower())
        except ValueError:
            return cls.Quiet


class LogMethod(Flag):
    """Where a message should be shown. The parts can be combined with ``|``."""

    Unknown = 0
    Info = 1
    Error = 2
    Server = 4
    File = 8
    All = 15


def level_name(level: object) -> str:
    """Return a level the server knows for what a module wrote, e.g. ``info`` → ``information``."""
    name = str(level or "information").strip().lower()
    name = _LEVELS.get(name, name)
    return name if name in _KNOWN_LEVELS else "information"


def entry_of(data: dict[str, Any]) -> Log:
    """Return the log entry for the keys of a ``log()`` call."""
    prefix = ""
    if data.get("filename"):
        prefix += f"({data['filename']}) "
    if data.get("exception_type"):
        prefix += f"[{data['exception_type']}] "
    message = str(data.get("message") or "")
    entry = f"{prefix.rstrip()}: {message}" if prefix else message
    return Log(
        entry=encodable(entry),
        level=level_name(data.get("loglevel")),
        category=encodable(str(data.get("process") or "")),
        label=encodable(str(data.get("label") or "")),
    )


def _short(entry: Log) -> Log:
    """Return an entry that is no burden to the connection, however much is in it."""
    text = entry.entry
    if len(text) > MAX_ENTRY:
        text = f"{text[:MAX_ENTRY]} … ({len(text)} characters)"
    return Log(text, entry.level, entry.category[:MAX_NAME], entry.label[:MAX_NAME])


class ModuleLogger:
    """Sends entries to the server, or shows them here. Thread-safe; never blocks on the network."""

    def __init__(self, folder: str | Path) -> None:
        """``folder``: where ``logs/log-YYYY-MM-DD.txt`` is written when the server does not take an entry."""
        self._folder = Path(folder)
        self._sink: LogSink | None = None
        self._file_lock = threading.Lock()

    def attach(self, sink: LogSink | None) -> None:
        """Give entries for the server to this sink from now on; None: show them here."""
        self._sink = sink

    def log(self, method: LogMethod, data: dict[str, Any]) -> None:
        """Write one message. ``data``: message, process, filename, label, loglevel, exception_type."""
        entry = entry_of(data)
        sink = self._sink
        if LogMethod.Server in method and sink is not None and sink(_short(entry)):
            return
        self._show(method, entry)
        if LogMethod.File in method:
            self._write_file(entry)

    def _show(self, method: LogMethod, entry: Log) -> None:
        stream = sys.stderr if LogMethod.Error in method else sys.stdout
        text = f"{entry.category}: {entry.entry}" if entry.category else entry.entry
        print_safely(stream, text)

    def _write_file(self, entry: Log) -> None:
        now = datetime.now()
        path = self._folder / "logs" / f"log-{now:%Y-%m-%d}.txt"
        line = f"{now:%Y-%m-%d %H:%M:%S} [{entry.level}] {entry.category}: {entry.entry}\n"
        with self._file_lock, contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(line)


def print_safely(stream: TextIO | None, text: str) -> None:
    """Print a line, or nothing when it cannot be printed at all."""
    # A service may have no console at all, or one that cannot show every character.
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode("ascii"), file=stream, flush=True)
