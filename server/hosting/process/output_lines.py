"""Turning what a process prints into bounded lines at a bounded rate."""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_LINE_BYTES = 4096
LINES_PER_SECOND = 100
LINES_PER_READ = 4096
"""Of more lines that come at once, the first and the last half are kept."""
_BREAK = re.compile(rb"\r\n|\n|\r")
_BREAKS = re.compile(rb"[\r\n]+")


class LineSplitter:
    """Splits one stream into lines. A line that is too long is cut; its rest is dropped and counted."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._cut = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are whole now. A carriage return ends a line too: progress bars use it."""
        *whole, rest = _BREAK.split(_thinned(self._rest + data))
        lines = []
        for part in whole:
            lines.append(self._line(part))
            self._cut = 0
        overflow = len(rest) - self._max_bytes
        if overflow > 0:
            self._cut += overflow
            rest = rest[: self._max_bytes]
        self._rest = rest
        return [line for line in lines if line]

    def end(self) -> list[str]:
        """Return the last line, which had no line end."""
        line = self._line(self._rest)
        self._rest, self._cut = b"", 0
        return [line] if line else []

    def _line(self, part: bytes) -> str:
        cut = self._cut + max(0, len(part) - self._max_bytes)
        text = part[: self._max_bytes].decode("utf-8", "replace").rstrip()
        return f"{text} … ({cut} more bytes)" if cut and text else text


def _thinned(data: bytes) -> bytes:
    """Return output without the middle of a flood of lines: an endless row of line ends must not cost the server."""
    if data.count(b"\n") + data.count(b"\r") <= LINES_PER_READ:
        return data
    data = _BREAKS.sub(b"\n", data)
    left_out = data.count(b"\n") - LINES_PER_READ
    if left_out <= 0:
        return data
    half = LINES_PER_READ // 2
    first = data.split(b"\n", half)
    last = first.pop().rsplit(b"\n", half)
    return b"\n".join([*first, b"\xe2\x80\xa6 %d lines left out" % (left_out + 1), *last[1:]])


class RateLimit:
    """Lets a number of lines through in every second and counts the others.

    ``report`` is called with the number of dropped lines when they stop being dropped, or at the end.
    """

    def __init__(self, per_second: int, clock: Callable[[], float], report: Callable[[int], None]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._report = report
        self._second = 0
        self._seen = 0
        self._dropped = 0

    def allows(self) -> bool:
        """Whether the next line may pass."""
        second = int(self._clock())
        if second != self._second:
            self.end()
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen <= self._per_second:
            return True
        self._dropped += 1
        return False

    def end(self) -> None:
        """Report what was dropped, if anything was."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._report(dropped)
