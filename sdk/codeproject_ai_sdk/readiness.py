"""Whether a module can do its work, as it says itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

Tell = Callable[[str, bool], None]
"""Called with why the module cannot do its work, empty when it can, and whether that passes by itself."""


class Readiness:
    """What the module has said last. Any thread may say something; it is told in the order in which it was said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = ("", False)
        self._tell: Tell | None = None

    def say(self, obstacle: str, passing: bool) -> None:
        """Note what the module says; told at once when somebody follows."""
        with self._lock:
            if self._said == (obstacle, passing):
                return
            self._said = (obstacle, passing)
            if self._tell is not None:
                self._tell(obstacle, passing)

    def follow(self, tell: Tell) -> None:
        """Tell what was said last, and from now on every change."""
        with self._lock:
            self._tell = tell
            tell(*self._said)
