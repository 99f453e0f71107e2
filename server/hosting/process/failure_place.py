"""Where in its program a Python process failed, from the lines that it printed."""

from __future__ import annotations

import re

_FRAME = re.compile(r'\s*File "(.+)", line (\d+)')
_FOREIGN = re.compile(r"site-packages|dist-packages|<frozen|[/\\]lib[/\\]python\d|[/\\]Lib[/\\]|codeproject_ai_sdk")
_HEADING = "Traceback (most recent call last)"


class FailurePlace:
    """Reads tracebacks line by line. Of the places in one, the last in the module's own files is the one to look at."""

    def __init__(self) -> None:
        self.text = ""
        """File and line, when the last line was the end of a traceback; else empty."""
        self._place = ""
        self._own = False

    def line(self, line: str) -> None:
        """Take one line of what was printed as an error."""
        frame = _FRAME.match(line)
        if frame is not None:
            self._frame(frame[1], frame[2])
        elif line.startswith(_HEADING):
            self._place, self._own = "", False
        elif not line.startswith((" ", "\t")):
            self.text, self._place, self._own = self._place, "", False

    def _frame(self, path: str, number: str) -> None:
        own = _FOREIGN.search(path) is None
        if own or not self._own:
            self._place, self._own = f"{path}, line {number}", own
