"""The visible state of a module, as a word with a reason."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Awaitable, Callable

from ..text import well_formed


class State(str, enum.Enum):
    """What a module is doing. ``Busy`` is ``Ready`` with commands running.

    ``NotReady``: its process runs and answers, but says that it cannot do its work until somebody does something.
    """

    INSTALLING = "Installing"
    STARTING = "Starting"
    NOT_READY = "NotReady"
    READY = "Ready"
    BUSY = "Busy"
    BACKOFF = "Backoff"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"

    @property
    def serves(self) -> bool:
        """Whether commands are worth accepting: they are served now or soon."""
        return self not in (State.FAILED, State.STOPPED)


class Standing:
    """The state of one module with its reason. ``changed`` is awaited after every change of the state."""

    def __init__(self, changed: Callable[[State, str], Awaitable[None]]) -> None:
        self._changed = changed
        self.state = State.STOPPED
        self.reason = ""
        self.was_ready = False
        """It has been ready since the server started."""
        self.starts = 0
        self._next_start: float | None = None

    async def change(self, state: State, reason: str = "", starts_in: float | None = None) -> None:
        """Go to a state. The reason says why, and what to do where somebody must act.

        ``starts_in``: seconds until the next start, where one is planned.
        """
        reason = well_formed(reason)
        self.state, self.reason = state, reason
        self._next_start = None if starts_in is None else time.monotonic() + starts_in
        self.was_ready = self.was_ready or state is State.READY
        self.starts += state is State.STARTING
        await self._changed(state, reason)

    def note(self, reason: str) -> None:
        """Say more about the state it is in."""
        self.reason = reason

    @property
    def starts_in(self) -> int | None:
        """Whole seconds until the next start; ``None`` when none is planned."""
        return None if self._next_start is None else max(0, math.ceil(self._next_start - time.monotonic()))


def compatible_word(standing: Standing, *, auto_start: bool, compatible: bool) -> str:
    """Return the state in the words of compatible status routes."""
    if standing.state is State.FAILED:
        return "Crashed" if standing.was_ready else "FailedStart"
    if standing.state is State.STARTING:
        return "Restarting" if standing.starts > 1 else "Starting"
    if standing.state is State.STOPPED and standing.starts == 0:
        return "NotAvailable" if not compatible else "NotStarted" if auto_start else "NoAutoStart"
    return _COMPATIBLE[standing.state]


_COMPATIBLE = {
    State.INSTALLING: "NotStarted",
    State.NOT_READY: "Starting",
    State.READY: "Started",
    State.BUSY: "Started",
    State.BACKOFF: "Restarting",
    State.STOPPING: "Stopping",
    State.STOPPED: "Stopped",
}
