"""What is here of a file whose download has not ended."""

from __future__ import annotations

import os
from pathlib import Path

from llamachat.engine.gguf_file import MAGIC


class PartialDownload:
    """The unfinished download of the file at ``target``. ``identity`` is the checksum that the whole shall have.

    It is in the name, so that a changed file is never joined to an old beginning. ``lock`` is held by who writes.
    """

    def __init__(self, target: Path, identity: str) -> None:
        self.path = target.with_name(f"{target.name}.{identity[:12]}.part")
        self.lock = target.with_name(f".{target.name}.lock")

    def usable_bytes(self, size: int) -> int:
        """How many bytes of a model of this size are here; what is no beginning of one is thrown away."""
        if not self.starts_well() or self._bytes() > size:
            self.discard()
        return self._bytes()

    def starts_well(self) -> bool:
        """Whether it begins as a model does, as far as it goes."""
        return MAGIC.startswith(self.beginning(len(MAGIC)))

    def beginning(self, count: int) -> bytes:
        """Its first bytes; none when there is nothing."""
        try:
            with self.path.open("rb") as file:
                return file.read(count)
        except OSError:
            return b""

    def discard(self) -> None:
        """Throw away what is here."""
        self.path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove the lock. Who waits for it finds the whole file in its place."""
        try:
            os.unlink(self.lock)
        except OSError:  # on Windows it is still open
            return

    def _bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0
