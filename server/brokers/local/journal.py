"""The journal: events that clients may have seen already and that the record store does not have yet.

The store takes events in batches, every 50 ms. Until then they are here, in the file cache of the system, which a
killed process leaves behind. A write costs a few microseconds. (A power cut may lose it, as it may lose the store's
last moments.)
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

import msgspec

from ...commands.reply_buffer import Event


class JournalLine(msgspec.Struct, frozen=True, array_like=True):
    """One event of one command."""

    command_id: str
    event: Event


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JournalLine).decode


class Journal:
    """Two files, used in turn: one takes new events while the store writes what is in the other."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / "events-a.journal", folder / "events-b.journal"]
        self._files: list[BinaryIO] = []
        self._current = 0
        self._other_is_empty = False

    def open(self) -> list[JournalLine]:
        """Return what the last run left, in the order of its numbers for each command. Blocks. Raises ``OSError``."""
        lines: list[JournalLine] = []
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            lines += _readable(path.read_bytes())
            self._files.append(path.open("ab", buffering=0))
        self._other_is_empty = not self._paths[1].stat().st_size
        return sorted(lines, key=lambda line: line.event.seq)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def note(self, command_id: str, event: Event) -> None:
        """Keep an event. A full disk is not noticed here: the store, which needs more room, says so."""
        # The line feed comes first as well, so that a line which was cut off spoils no other.
        with contextlib.suppress(OSError):
            self._files[self._current].write(b"\n" + _encode(JournalLine(command_id, event)) + b"\n")

    def turn(self) -> None:
        """The store begins to write what has been noted: new events go into the other file, if that is empty."""
        if self._other_is_empty:
            self._current = 1 - self._current
            self._other_is_empty = False

    def stored(self) -> None:
        """The store has what was noted before the last turn. Blocks."""
        with contextlib.suppress(OSError):
            self._files[1 - self._current].truncate(0)
            self._other_is_empty = True


def _readable(data: bytes) -> list[JournalLine]:
    lines = []
    for raw in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            if raw:
                lines.append(_decode(raw))
    return lines
