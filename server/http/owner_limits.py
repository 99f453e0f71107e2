"""What one owner may use: requests a second, and commands that wait or run at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..commands.command import LIVE
from ..commands.dispatcher import Dispatcher


class OwnerLimits:
    """0 is no limit. An owner may ask a second's worth of requests at once."""

    def __init__(self, per_second: float, commands: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = max(1, math.floor(per_second)) * self._interval
        self._commands = commands
        self._clock = clock
        self._free_at: dict[str, float] = {}
        """When an owner may ask as many at once again as any; there are only as many owners as were named."""

    def wait(self, owner: str) -> float:
        """Count a request; return for how many seconds the owner must wait with it, 0: it may be answered."""
        if not self._interval:
            return 0.0
        now = self._clock()
        free_at = max(self._free_at.get(owner, 0.0), now) + self._interval
        over = free_at - now - self._burst
        if over > 1e-9:
            return over
        self._free_at[owner] = free_at
        return 0.0

    async def has_too_many(self, owner: str, dispatcher: Dispatcher) -> bool:
        """Whether an owner has as many commands waiting and running as one may have."""
        if not self._commands:
            return False
        return sum(command.state in LIVE for command in await dispatcher.owned(owner)) >= self._commands
