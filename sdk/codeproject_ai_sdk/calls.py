"""Calling the module's own code, plain or ``async``, from a thread that may wait for it."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .io_thread import LoopThread


class Calls:
    """Runs plain functions in the caller's thread and coroutines on one event loop of their own.

    That loop is never the one that talks to the server, so a module may block it without losing the connection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: LoopThread | None = None

    def invoke(
        self,
        function: Callable[..., Any],
        *args: Any,
        on_future: Callable[[Future[Any]], None] | None = None,
    ) -> Any:
        """Call the function and return its result, waiting when it is a coroutine function.

        ``on_future`` is given the handle with which a coroutine can be cancelled. Raises what the function raises.
        """
        outcome = function(*args)
        if not inspect.isawaitable(outcome):
            return outcome
        future = self._loop_thread().submit(outcome)
        if on_future is not None:
            on_future(future)
        return future.result()

    def _loop_thread(self) -> LoopThread:
        with self._lock:
            if self._worker is None:
                self._worker = LoopThread("millrace-coroutines")
            return self._worker
