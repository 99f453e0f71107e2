"""Routes: which queue and command name a request path stands for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import msgspec

_LONGEST_GUESS = 120
"""Characters of a path for which a route of a similar name is looked for."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path a module serves. The flags are declared in its modulesettings.

    ``segments``: the path may go on, and the module is told how.
    """

    path: str
    module_id: str
    module_name: str
    queue: str
    command: str
    long_running: bool = False
    idempotent: bool = False
    segments: bool = False

    def serves_as(self, other: Route) -> bool:
        """Whether it makes no difference which of the two answers: the commands wait in one queue anyway."""
        return (self.queue.lower(), self.command.lower()) == (other.queue.lower(), other.command.lower())


class RouteMatch(msgspec.Struct, frozen=True):
    """A route and the path segments that followed it."""

    route: Route
    segments: list[str]


class RouteTable:
    """All routes of all modules. Of several modules that name one path, the one that had it first keeps it.

    ``claims`` are the modules that name a path, first come first, also those that are not there at the moment: whoever
    keeps them over a restart of the server keeps every path where it was. A module that is not to run leaves its paths
    to the next one for as long as that is so.
    """

    def __init__(self, claims: Mapping[str, list[str]] | None = None) -> None:
        self.claims: dict[str, list[str]] = {path: list(ids) for path, ids in (claims or {}).items()}
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change."""
        self.reserved: Callable[[str], bool] = lambda path: False
        """Whether the server itself answers a path, so that no module ever sees a request for it."""
        self._by_module: dict[str, dict[str, Route]] = {}
        self._idle: set[str] = set()
        self._routes: dict[str, Route] = {}

    def set_module(self, module_id: str, routes: list[Route], *, idle: bool = False, complete: bool = True) -> None:
        """Make these the routes of the module, in place of those it had.

        ``idle``: it is not to run, so it keeps no path from others. ``complete``: it has no further ones; otherwise its
        claims on those that are not known now stay.
        """
        paths = self._by_module[module_id] = {path_key(route.path): route for route in routes}
        (self._idle.add if idle else self._idle.discard)(module_id)
        for path in paths:
            claimed = self.claims.setdefault(path, [])
            if module_id not in claimed:
                claimed.append(module_id)
        if complete:
            self._drop_claims(lambda claimant, path: claimant == module_id and path not in paths)
        self._rebuild()

    def withdraw_module(self, module_id: str) -> None:
        """Nobody knows the module's routes now; its claims stay for when they are known again."""
        self._by_module.pop(module_id, None)
        self._rebuild()

    def remove_module(self, module_id: str) -> None:
        """Forget the module's routes and its claims."""
        self._drop_claims(lambda claimant, path: claimant == module_id)
        self.withdraw_module(module_id)

    def keep_claims_of(self, module_ids: set[str]) -> None:
        """Forget the claims of all other modules."""
        self._drop_claims(lambda claimant, path: claimant not in module_ids)
        self._rebuild()

    def all(self) -> list[Route]:
        """Return every route that is in effect, by path."""
        return [self._routes[path] for path in sorted(self._routes)]

    def lost(self, module_id: str) -> dict[str, str]:
        """Return the module's paths that lead elsewhere, and the id of who has them; empty for the server itself."""
        found = {}
        for path, route in self._by_module.get(module_id, {}).items():
            if self.reserved(path):
                found[route.path] = ""
            elif not self._routes[path].serves_as(route):
                found[route.path] = self._routes[path].module_id
        return found

    def module_named(self, module_id: str) -> str | None:
        """Return the id, as its settings spell it, of a registered module given in any letter case."""
        return next((known for known in self._by_module if known.lower() == module_id.lower()), None)

    def module_name(self, module_id: str) -> str:
        """Return the display name of a module; its id when it has no routes."""
        return next((route.module_name for route in self._by_module.get(module_id, {}).values()), module_id)

    def match(self, path: str) -> RouteMatch | None:
        """Find the route of a path without ``/v1/``, in any letter case: the path itself, else the longest beginning.

        A path may be longer than its route only where the route says so. The ancestor let any string follow any route,
        so that a mistyped path was answered by another one with success.
        """
        found = self._longest(path)
        return found if found is not None and (found.route.segments or not found.segments) else None

    def nearest(self, path: str) -> Route | None:
        """Return the route that somebody may have meant by a path that has none."""
        found = self._longest(path)
        if found is not None:
            return found.route
        guesses = difflib.get_close_matches(path_key(path)[:_LONGEST_GUESS], self._routes, n=1)
        return self._routes[guesses[0]] if guesses else None

    def _longest(self, path: str) -> RouteMatch | None:
        parts = path.strip("/").split("/")
        for count in range(len(parts), 0, -1):
            route = self._routes.get("/".join(parts[:count]).lower())
            if route is not None:
                return RouteMatch(route, [part.strip() for part in parts[count:]])
        return None

    def _drop_claims(self, dropped: Callable[[str, str], bool]) -> None:
        kept = {path: [one for one in ids if not dropped(one, path)] for path, ids in self.claims.items()}
        self.claims = {path: ids for path, ids in kept.items() if ids}

    def _rebuild(self) -> None:
        self._routes = {path: route for path in self.claims if (route := self._owner(path)) is not None}
        self.on_change()

    def _owner(self, path: str) -> Route | None:
        offering = [one for one in self.claims[path] if path in self._by_module.get(one, {})]
        active = [one for one in offering if one not in self._idle]
        first = next(iter(active or offering), None)
        return None if first is None else self._by_module[first][path]


def path_key(path: str) -> str:
    """Return what two spellings of one path have in common."""
    return path.strip("/").lower()
