"""Routes: which queue and command name a request path stands for."""

from __future__ import annotations

import msgspec


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path a module serves. ``long_running`` and ``idempotent`` are declared in its modulesettings."""

    path: str
    module_id: str
    module_name: str
    queue: str
    command: str
    long_running: bool = False
    idempotent: bool = False


class RouteMatch(msgspec.Struct, frozen=True):
    """A route and the path segments that followed it."""

    route: Route
    segments: list[str]


class RouteTable:
    """All routes of all modules; the module registered last owns a shared path."""

    def __init__(self) -> None:
        self._by_module: dict[str, list[Route]] = {}
        self._routes: dict[str, Route] = {}

    def set_module(self, module_id: str, routes: list[Route]) -> None:
        """Make these the routes of the module, in place of those it had."""
        self._by_module.pop(module_id, None)
        self._by_module[module_id] = routes
        self._rebuild()

    def remove_module(self, module_id: str) -> None:
        """Forget the module's routes."""
        self._by_module.pop(module_id, None)
        self._rebuild()

    def all(self) -> list[Route]:
        """Return every route that is in effect, by path."""
        return [self._routes[path] for path in sorted(self._routes)]

    def module_named(self, module_id: str) -> str | None:
        """Return the id, as its settings spell it, of a registered module given in any letter case."""
        return next((known for known in self._by_module if known.lower() == module_id.lower()), None)

    def module_name(self, module_id: str) -> str:
        """Return the display name of a module; its id when it has no routes."""
        routes = self._by_module.get(module_id)
        return routes[0].module_name if routes else module_id

    def match(self, path: str) -> RouteMatch | None:
        """Find the route of a path without ``/v1/``: exact, else the longest whole-segment prefix; any letter case.

        The ancestor matched any string prefix; a boundary is kept here so that ``vision/detectionX`` is an
        unknown route instead of a surprise.
        """
        wanted = path.strip("/")
        parts = wanted.split("/")
        for count in range(len(parts), 0, -1):
            route = self._routes.get("/".join(parts[:count]).lower())
            if route is not None:
                rest = [part.strip() for part in parts[count:]]
                return RouteMatch(route, rest)
        return None

    def _rebuild(self) -> None:
        self._routes = {route.path.strip("/").lower(): route for routes in self._by_module.values() for route in routes}
