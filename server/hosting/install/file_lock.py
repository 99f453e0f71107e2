"""Waiting for a lock that only one process on this machine holds; the system lets go of it when the process dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_TRY_AGAIN_SECONDS = 0.2


@contextlib.asynccontextmanager
async def locked(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of a file, which is made if need be. ``on_wait`` is called once if somebody else holds it."""
    lock = FileLock(path, thread_local=False)  # it is taken in one thread and released in another
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    try:
        waited = False
        while not await asyncio.to_thread(_try, lock):
            if not waited:
                on_wait()
            waited = True
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
        yield
    finally:
        await asyncio.shield(asyncio.to_thread(lock.release))


def _try(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
