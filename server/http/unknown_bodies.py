"""Bodies that are read before anybody knows who sent them, because the key is in their form: few at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from .addresses import network_of


class Place:
    """A place among those who are read. It can be given back once only."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._taken = True

    def give_back(self) -> None:
        """Let the next one begin."""
        if self._taken:
            self._taken = False
            self._places.release()


class UnknownBodies:
    """At most ``at_once`` of them from one address. The next ones wait, and nobody else does."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._users: dict[str, int] = {}
        self._places: dict[str, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def reading(self, address: str) -> AsyncIterator[Place]:
        """Wait for a place; it is given back when the block ends, unless it was before."""
        network = network_of(address)
        self._users[network] = self._users.get(network, 0) + 1
        places = self._places.setdefault(network, asyncio.Semaphore(self._at_once))
        try:
            await places.acquire()
            place = Place(places)
            try:
                yield place
            finally:
                place.give_back()
        finally:
            self._users[network] -= 1
            if not self._users[network]:
                del self._users[network], self._places[network]
