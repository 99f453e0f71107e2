"""A lock that only one process on this machine holds at a time; the system lets go of it when the process dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_TRY_AGAIN_SECONDS = 0.2


@contextlib.asynccontextmanager
async def locked(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of a file, which is made if need be. ``on_wait`` is called once if somebody else holds it."""
    handle = await asyncio.to_thread(_open, path)
    try:
        waited = False
        while not await asyncio.to_thread(_try, handle):
            if not waited:
                on_wait()
            waited = True
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
        yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)


def _try(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
