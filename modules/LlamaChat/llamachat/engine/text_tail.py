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
        self.length = 0
        """How many whole characters came so far."""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Take the bytes of the next token; return the text that may be shown now, often empty."""
        text = self._decoder.decode(piece)
        self._held += text
        self.length += len(text)
        if not self._stop:
            return self._release(len(self._held))
        at = self._first_stop()
        if at is not None:
            self.stopped = True
            shown, self._held = self._held[:at], ""
            return shown
        return self._release(len(self._held) - possible_length(self._held, self._stop))

    def flush(self) -> str:
        """Return what was held back, when no more tokens come. A character cut in the middle is left out."""
        return self._release(len(self._held))

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown

    def _first_stop(self) -> int | None:
        found = [at for at in map(self._held.find, self._stop) if at >= 0]
        return min(found, default=None)


def possible_length(text: str, wanted: Sequence[str]) -> int:
    """Return the length of the longest end of a text that is the beginning, but not the whole, of a wanted one."""
    longest = 0
    for whole in wanted:
        for length in range(min(len(whole) - 1, len(text)), longest, -1):
            if text.endswith(whole[:length]):
                longest = length
                break
    return longest
