"""Waiting for a change, cheaply: every quick command does it several times, and ``asyncio.wait`` costs a multiple."""

from __future__ import annotations

import asyncio


class Waiting:
    """Those who wait for the next change of one thing."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    async def wait(self, timeout: float) -> None:
        """Return at the next change, or when ``timeout`` seconds have passed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._futures.add(future)
        timer = loop.call_later(timeout, _resolve, future)
        try:
            await future
        finally:
            timer.cancel()
            self._futures.discard(future)

    def wake(self) -> None:
        """Something has changed."""
        for future in self._futures:
            _resolve(future)
        self._futures.clear()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
