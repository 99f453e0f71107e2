"""The blob port: where uploaded files lie that are too large to travel with their command.

Whoever receives a blob owns it until a command was accepted with it, and deletes it otherwise. From then on the broker
owns it, until the command has ended. At a start, ``expire`` deletes what no command owns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

import msgspec


class BlobError(Exception):
    """A blob cannot be kept or read; the text says why and what to do."""


class Blob(msgspec.Struct, frozen=True):
    """``reference``: how it is named from now on; with a local folder the path of its file. ``size``: bytes."""

    reference: str
    size: int


class Blobs(Protocol):
    """Where blobs lie."""

    async def put(self, pieces: AsyncIterator[bytes]) -> Blob:
        """Keep what comes, piece by piece.

        Raises ``BlobError`` when there is no space for it, and whatever ``pieces`` raises; then, and when it is
        cancelled, nothing of it is kept.
        """

    def open(self, reference: str, piece_bytes: int) -> AsyncIterator[bytes]:
        """Return the bytes of a blob, in pieces of this size. Raises ``BlobError`` while they are read."""

    async def delete(self, references: Iterable[str]) -> None:
        """Delete these; one that is not there any more is no error."""

    async def expire(self, kept: set[str]) -> None:
        """Delete all but these: nobody owns the others. Called once, before anything else."""
