"""Noticing that a living process has gone silent."""

from __future__ import annotations

from collections.abc import Callable

SILENCE_SECONDS = 30.0
PAUSE_SECONDS = 5.0
"""Looks further apart than this mean that the server itself was asleep, and nothing could have been heard."""


class SilenceWatch:
    """Tells when the last contact has not moved for 30 s, by a clock that no change of the time of day disturbs."""

    def __init__(self, clock: Callable[[], float], limit: float = SILENCE_SECONDS) -> None:
        self._clock = clock
        self._limit = limit
        self._last_contact = 0.0
        self._moved = self._looked = clock()

    def silent(self, last_contact: float) -> bool:
        """Look once (about every second); whether the process has been silent for too long."""
        now = self._clock()
        if last_contact != self._last_contact or now - self._looked > PAUSE_SECONDS:
            self._last_contact, self._moved = last_contact, now
        self._looked = now
        return now - self._moved > self._limit
