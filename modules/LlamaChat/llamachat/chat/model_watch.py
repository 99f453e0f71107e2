"""Noticing that the missing model file has come, or that a damaged one has been replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

_State: TypeAlias = "tuple[str, int, int] | None"

LOOK_SECONDS = 2.0


class ModelWatch:
    """Looks for the model file until one is loaded. ``find`` looks, ``load`` tries; it returns whether that worked."""

    def __init__(self, find: Callable[[], Path | None], load: Callable[[], bool], every: float = LOOK_SECONDS) -> None:
        self._find = find
        self._load = load
        self._every = every
        self._stopped = threading.Event()

    def load(self) -> None:
        """Load the model; if that fails, look for another chance in a thread of its own."""
        tried = self._state()
        if not self._load():
            threading.Thread(target=self._watch, args=(tried,), name="model-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _watch(self, tried: _State) -> None:
        before = tried
        while not self._stopped.wait(self._every):
            now = self._state()
            # Twice the same: nobody is in the middle of copying it.
            if now is not None and now == before and now != tried:
                tried = now
                if self._load():
                    return
            before = now

    def _state(self) -> _State:
        """What changes with the file; None while there is none."""
        try:
            path = self._find()
            if path is None:
                return None
            status = path.stat()
        except OSError:
            return None
        return str(path), status.st_size, status.st_mtime_ns
