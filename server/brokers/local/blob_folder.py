"""Blobs as files of a folder on this machine, which together may take a bounded part of the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from ...commands.blobs import Blob, BlobError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class BlobFolder:
    """Implements ``commands.blobs.Blobs``. ``most_bytes``: what all blobs together may take."""

    def __init__(self, folder: Path, most_bytes: int = 16 * 1024**3) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._cleaning: set[asyncio.Task[None]] = set()
        self.used_bytes = 0
        """What all blobs take, those that are still coming included."""

    async def put(self, pieces: AsyncIterator[bytes]) -> Blob:
        """See the port."""
        path = self._folder / uuid.uuid4().hex
        reference = str(path)
        self._sizes[reference] = 0
        writing = _append(path, b"")
        try:
            await asyncio.shield(writing)
            async for piece in pieces:
                self._grow(reference, len(piece))
                writing = _append(path, piece)
                await asyncio.shield(writing)
        except BaseException as error:
            await self._undo(writing, reference)
            if isinstance(error, OSError) and error.errno in _FULL:
                text = f"The uploaded file cannot be kept: {error.strerror}. Free some space, then try again."
                raise BlobError(text) from None
            raise
        return Blob(reference, self._sizes[reference])

    async def open(self, reference: str, piece_bytes: int) -> AsyncIterator[bytes]:
        """See the port."""
        try:
            file = await asyncio.to_thread(open, reference, "rb")
            try:
                while piece := await asyncio.to_thread(file.read, piece_bytes):
                    yield piece
            finally:
                await asyncio.to_thread(file.close)
        except OSError as error:
            raise BlobError(f"The uploaded file {reference} cannot be read: {error.strerror or error}.") from None

    async def delete(self, references: Iterable[str]) -> None:
        """See the port."""
        gone = list(references)
        await asyncio.to_thread(_remove, gone)
        for reference in gone:
            self.used_bytes -= self._sizes.pop(reference, 0)

    async def expire(self, kept: set[str]) -> None:
        """See the port."""
        self._sizes = await asyncio.to_thread(_remove_others, self._folder, kept)
        self.used_bytes = sum(self._sizes.values())

    def _grow(self, reference: str, by: int) -> None:
        if self.used_bytes + by > self._most_bytes:
            raise BlobError(
                f"The uploaded files that wait for their modules may take {self._most_bytes} bytes of disk together "
                "(setting max_uploads_bytes). Try again when some of them are done."
            )
        self._sizes[reference] += by
        self.used_bytes += by

    async def _undo(self, writing: asyncio.Future[None], reference: str) -> None:
        """Delete what came so far, also when whoever waits for that is cancelled: a thread may still be writing."""

        async def delete() -> None:
            await asyncio.wait([writing])
            await self.delete([reference])

        task = asyncio.create_task(delete())
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
        await asyncio.shield(task)


def _append(path: Path, data: bytes) -> asyncio.Future[None]:
    return asyncio.ensure_future(asyncio.to_thread(_write, path, data))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, _FLAGS, 0o600), "ab", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]


def _remove(references: list[str]) -> None:
    for reference in references:
        Path(reference).unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[str]) -> dict[str, int]:
    """Delete the files that are not kept; return the sizes of the rest."""
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    _remove([str(path) for path in files if str(path) not in kept])
    return {str(path): path.stat().st_size for path in files if str(path) in kept}
