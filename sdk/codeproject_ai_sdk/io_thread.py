"""A thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines on its own event loop. The thread is a daemon: it never keeps the process alive."""

    def __init__(self, name: str, *, fast: bool = False) -> None:
        """Start the thread. ``fast``: on uvloop where it is installed; not for a module's own coroutines."""
        self.loop = _fast_loop() if fast else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, awaitable: Awaitable[T]) -> Future[T]:
        """Run an awaitable here, called from another thread; its result comes in the future."""
        coroutine = awaitable if isinstance(awaitable, Coroutine) else _await(awaitable)
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function here soon; nothing happens when the loop has been stopped."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            if not self.loop.is_closed():
                raise

    def stop(self, seconds: float) -> None:
        """Cancel what runs here and end the thread, waiting for it at most that long."""
        self.call(self.loop.stop)
        self._thread.join(seconds)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self._cancel_all()
            self.loop.close()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _fast_loop() -> asyncio.AbstractEventLoop:
    """Another thread wakes this loop for every answer, which costs uvloop half as much."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
