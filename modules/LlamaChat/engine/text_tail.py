"""From token bytes to text that may be shown: whole characters, and never a part of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextTail:
    """Holds back the end of a reply until it is known to be safe to show.

    A character's bytes may be spread over several tokens, and so may a stop string. Bytes wait here until they
    are whole characters; text waits while it could still become a stop string.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = [text for text in stop if text]
        # A byte that cannot be part of any character becomes U+FFFD; an unfinished character waits.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Take the bytes of the next token; return the text that may be shown now, often empty."""
        self._held += self._decoder.decode(piece)
        if not self._stop:
            return self._release(len(self._held))
        at = self._first_stop()
        if at is not None:
            self.stopped = True
            shown, self._held = self._held[:at], ""
            return shown
        return self._release(len(self._held) - self._possible_stop_length())

    def flush(self) -> str:
        """Return what was held back, when no more tokens come. A character cut in the middle is left out."""
        return self._release(len(self._held))

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown

    def _first_stop(self) -> int | None:
        found = [at for at in map(self._held.find, self._stop) if at >= 0]
        return min(found, default=None)

    def _possible_stop_length(self) -> int:
        """Length of the longest end of the held text that is the beginning of a stop string."""
        longest = 0
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
