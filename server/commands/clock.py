"""The time that commands are measured by. Setting the computer's clock does not reach it while the server runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

Source = Callable[[], float]


class SignOfLife(msgspec.Struct, frozen=True):
    """One moment of a run, by its own clock (``now``) and by the computer's (``wall``); kept on disk."""

    now: float
    wall: float


class Clock:
    """Seconds since the epoch at the start, and from then on only what truly passes (monotonic).

    So a difference of two times is a duration, whatever is done to the computer's clock meanwhile. Over a restart the
    computer's clock decides: where it has gone forward since the last sign of life, nobody ran; it never goes back.
    """

    def __init__(self, wall: Source = time.time, monotonic: Source = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._began = wall() - monotonic()

    def now(self) -> float:
        """Return the time."""
        return self._began + self._monotonic()

    def go_on(self, last: SignOfLife) -> None:
        """Go on where the last run ended. Called once, before anything of it is measured."""
        downtime = max(0.0, self._wall() - last.wall)
        self._began = last.now + downtime - self._monotonic()

    def sign_of_life(self) -> SignOfLife:
        """Return this moment, for the next run to go on from."""
        return SignOfLife(self.now(), self._wall())

    def time_of_day(self, moment: float | None) -> float | None:
        """Return a time of this clock by the computer's clock, to be shown to people."""
        if moment is None:
            return None
        # In whole seconds, so that the same moment is always shown as the same.
        return moment + round(self._wall() - self.now())
