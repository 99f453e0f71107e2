"""The texts of replies that are too long for memory, a file for each; each start makes them anew from the events."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

from ...private_files import opener, private_folder


class TextFolder:
    """Makes the files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def open(self) -> None:
        """Remove what the last run left. Blocks."""
        with contextlib.suppress(OSError):  # then nothing is written there, and texts stay in memory
            private_folder(self._folder)
            for path in self._folder.glob("*.txt"):
                path.unlink()

    def new(self) -> StoredText:
        """Return the file of one more text; it is made with its first write."""
        return StoredText(self._folder / f"{next(self._numbers)}.txt")


class StoredText:
    """Implements ``commands.reply_text.TextFile``. It holds no descriptor between two calls."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, data: bytes, at: int) -> None:
        """See there."""
        with open(self._path, "r+b" if at else "wb", buffering=0, opener=opener) as file:
            file.seek(at)
            if file.write(data) != len(data):
                raise OSError(f"{self._path} could not be written whole")

    def read(self, size: int) -> bytes:
        """See there."""
        with open(self._path, "rb") as file:
            return file.read(size)

    def remove(self) -> None:
        """See there."""
        with contextlib.suppress(OSError):
            self._path.unlink()
