"""The text of one reply so far: in memory while it is short, in a file when it is longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

PORTION = 64 * 1024
"""Characters that are written together once a text has a file."""


class TextFile(Protocol):
    """Where the text of one reply lies. Everything blocks, for as long as a file in the system's cache takes."""

    def write(self, data: bytes, at: int) -> None:
        """Write after the first ``at`` bytes. Raises ``OSError``; the bytes before them are as they were."""

    def read(self, size: int) -> bytes:
        """Return the first bytes. Raises ``OSError``."""

    def remove(self) -> None:
        """Remove the file."""


class TextSoFar(msgspec.Struct, frozen=True):
    """A text as it was at one moment."""

    file: TextFile | None
    size: int
    rest: str

    def read(self) -> str:
        """Return it whole. Blocks if there is a file. Raises ``OSError``, also when it has begun anew meanwhile."""
        return self.rest if self.file is None else self.file.read(self.size).decode() + self.rest


class ReplyText:
    """Grows at its end. ``memory``: characters that it may hold; without ``new_file`` it holds all of them."""

    def __init__(self, memory: int = 0, new_file: Callable[[], TextFile] | None = None) -> None:
        self._memory = memory
        self._new_file = new_file
        self._file: TextFile | None = None
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        if self._file is not None:
            self._file.remove()
            self._file = None
        self._parts: list[str] = []
        self._held = self._stored = 0
        self._limit = self._memory
        self.length = 0
        """Characters."""
        self.begun = False
        """Whether anything was written, if only an empty text."""

    def add(self, text: str) -> None:
        """Write more."""
        self.begun = True
        self.length += len(text)
        self._parts.append(text)
        self._held += len(text)
        if self._held > self._limit and self._new_file is not None:
            self._store(self._new_file)

    def so_far(self) -> TextSoFar:
        """Return what there is now, to be read on any thread."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return TextSoFar(self._file, self._stored, "".join(self._parts))

    def _store(self, new_file: Callable[[], TextFile]) -> None:
        data = "".join(self._parts).encode()
        try:
            file = self._file or new_file()
            file.write(data, self._stored)
        except OSError:  # a full disk: it stays in memory, and is tried again when as much has come again
            self._limit = 2 * self._held
            return
        self._file = file
        self._stored += len(data)
        self._parts, self._held, self._limit = [], 0, PORTION
