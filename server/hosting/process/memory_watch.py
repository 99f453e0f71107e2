"""Noticing that a module uses more memory than its settings allow."""

from __future__ import annotations

import asyncio
import contextlib

import psutil

LOOK_SECONDS = 3.0
_MB = 1024 * 1024


async def over_limit(pid: int, limit_mb: int) -> int:
    """Return the resident MB of a process and its descendants as soon as they are more than the limit."""
    while True:
        with contextlib.suppress(OSError):  # what cannot be looked at now is looked at again
            used = await asyncio.to_thread(resident_mb, pid)
            if used > limit_mb:
                return used
        await asyncio.sleep(LOOK_SECONDS)


def resident_mb(pid: int) -> int:
    """Return the resident memory of a process and its descendants in MB; 0 when it is gone.

    Blocks. Raises ``OSError``.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return int(total // _MB)
