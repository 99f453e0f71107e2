"""Output that cannot fail: what a module prints is lost, not an error, after the server that read it has died."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any, TextIO, cast


class GuardedOutput(io.TextIOBase):
    """A text stream whose reader may have gone; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or do nothing when nobody reads any more."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing when nobody reads any more."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def fileno(self) -> int:
        """Return the stream's own file descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own encoding."""
        return self._stream.encoding


def guard_output() -> None:
    """Guard ``sys.stdout`` and ``sys.stderr`` of this process."""
    if sys.stdout is not None:
        sys.stdout = cast(TextIO, GuardedOutput(sys.stdout))
    if sys.stderr is not None:
        sys.stderr = cast(TextIO, GuardedOutput(sys.stderr))
