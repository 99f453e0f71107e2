"""Changes that are made whole or not at all, also when whoever asked for one goes away in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_begun: set[asyncio.Task[Any]] = set()
"""The event loop itself holds its tasks only weakly."""


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start something that nobody's going away ends."""
    task = asyncio.create_task(work)
    _begun.add(task)
    task.add_done_callback(_begun.discard)
    return task


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; cancelling this call does not cancel the work."""
    return await asyncio.shield(begin(work))
