"""Wrong keys cost time: after a few, an address may try one a second. Keys that were right there go on working."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from .addresses import network_of

BURST = 10
"""Wrong keys that an address may send at once."""
SECONDS_EACH = 1.0
MAX_ADDRESSES = 4096
MAX_RIGHT = 1024


class KeyAttempts:
    """A bounded table of wrong keys by address. Who is not in it has not tried lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()
        """When an address would have all its attempts again."""
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, digest: str) -> float:
        """Return for how many seconds this key is not even looked at; 0: it is."""
        place = network_of(address)
        if (place, digest) in self._right:
            return 0.0
        owed = self._free_at.get(place, 0.0) - self._clock()
        return max(0.0, owed - (BURST - 1) * SECONDS_EACH)

    def wrong(self, address: str) -> None:
        """Note a wrong key."""
        place = network_of(address)
        self._free_at[place] = max(self._free_at.get(place, 0.0), self._clock()) + SECONDS_EACH
        self._free_at.move_to_end(place)
        if len(self._free_at) > MAX_ADDRESSES:
            self._free_at.popitem(last=False)

    def right(self, address: str, digest: str) -> None:
        """Note a key that is valid: behind one address there may be others, who must not lock it out."""
        known = (network_of(address), digest)
        self._right[known] = None
        if len(self._right) > MAX_RIGHT:
            self._right.popitem(last=False)
