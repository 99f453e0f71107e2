"""The journal: events that clients may have seen already and that the record store does not have yet.

The store takes events in batches, every 50 ms. Until then they are here, in the file cache of the system, which a
killed process leaves behind. A write costs a few microseconds. (A power cut may lose it, as it may lose the store's
last moments.)
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import msgspec

from ...commands.reply_buffer import Event
from ...private_files import opener
from ...set_aside import DAMAGED_JSON, only_file, set_aside
from .recovery import is_sound


class JournalLine(msgspec.Struct, frozen=True, array_like=True):
    """One event of one command."""

    command_id: str
    event: Event


_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JournalLine).decode


class Journal:
    """Two files, used in turn: one takes new events while the store writes what is in the other."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / "events-a.journal", folder / "events-b.journal"]
        self._files: list[BinaryIO] = []
        self._current = 0
        self._other_is_empty = False
        self.damaged: list[str] = []
        """What could not be read when the journal was opened, in words."""

    def open(self) -> list[JournalLine]:
        """Return what the last run left, in the order of its numbers for each command. Blocks. Raises ``OSError``."""
        lines: list[JournalLine] = []
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            if text := only_file(path):
                self.damaged.append(text)
            lines += self._read(path)
            self._files.append(open(path, "ab", buffering=0, opener=opener))  # noqa: SIM115
        self._other_is_empty = not self._paths[1].stat().st_size
        return sorted(lines, key=lambda line: line.event.seq)

    def _read(self, path: Path) -> list[JournalLine]:
        """Return the lines of a file. One with lines that cannot be read is kept, under another name."""
        if not path.exists():
            return []
        data = path.read_bytes()
        lines, unreadable, cut_off = read_lines(data)
        if cut_off:  # else it would stand in the middle at the next start
            os.truncate(path, len(data) - cut_off)
        if unreadable:
            about = ids_in(unreadable)
            aside = set_aside(path)
            with open(path, "wb", opener=opener) as file:
                file.writelines(_encoded(line) for line in lines)
            self.damaged.append(
                f"{len(unreadable)} lines of {path} cannot be read; the file as it was is now {aside.name}. What they "
                f"said of command {', '.join(about) or '(unknown)'} is lost, unless its record has it too."
            )
        return lines

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def note(self, command_id: str, event: Event) -> None:
        """Keep an event. A full disk is not noticed here: the store, which needs more room, says so."""
        # The line feed comes first as well, so that a line which was cut off spoils no other.
        with contextlib.suppress(OSError):
            self._files[self._current].write(_encoded(JournalLine(command_id, event)))

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


def read_lines(data: bytes) -> tuple[list[JournalLine], list[bytes], int]:
    """Return the lines, those that cannot be read, and how many bytes at the end are one that a kill cut off.

    Of that one nobody has seen the event: it is shown after its line is written.
    """
    lines, unreadable = [], []
    raw_lines = data.split(b"\n")
    for raw in raw_lines[:-1]:
        line = _decoded(raw)
        lines += [line] if line else []
        unreadable += [raw] if raw and not line else []
    last = _decoded(raw_lines[-1])
    lines += [last] if last else []
    return lines, unreadable, 0 if last else len(raw_lines[-1])


def ids_in(unreadable: list[bytes]) -> list[str]:
    """Return the ids of the commands that these lines may be of."""
    return sorted({found.decode() for raw in unreadable for found in _ID.findall(raw)})


def _encoded(line: JournalLine) -> bytes:
    """The id stands there twice, so that of a damaged line it can still be said whose it was."""
    text = _encode(line)
    return b"\n%08x %s %s\n" % (zlib.crc32(text), line.command_id.encode(), text)


def _decoded(raw: bytes) -> JournalLine | None:
    """Return a line; ``None`` when it is not as it was written. Those of earlier versions have no checksum."""
    checksum, _, text = (b"", b"", raw) if raw.startswith(b"[") else raw.partition(b" ")
    text = text.partition(b" ")[2] if checksum else text
    with contextlib.suppress(*DAMAGED_JSON):
        if (not checksum or checksum == b"%08x" % zlib.crc32(text)) and is_sound((line := _decode(text)).event):
            return line
    return None
