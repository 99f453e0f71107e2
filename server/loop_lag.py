"""The loop's lag: how much later than asked the event loop gets to something, because something else kept it."""

from __future__ import annotations

import asyncio
import contextlib

from .histogram import Histogram

SAMPLE_SECONDS = 0.1
_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class LoopLag:
    """Samples the lag ten times a second."""

    def __init__(self) -> None:
        self.histogram = Histogram(_BOUNDS)
        """Seconds, since the start."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start sampling."""
        self._task = asyncio.create_task(self._sample())

    async def stop(self) -> None:
        """Stop sampling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            lag = max(0.0, loop.time() - due)
            self.histogram.note(lag)
            while lag > SAMPLE_SECONDS:  # the samples that should have been taken meanwhile would have found the rest
                lag -= SAMPLE_SECONDS
                self.histogram.note(lag)
