"""The one table of paths: a path is normalised once, and what is found by it decides who answers and for whom.

Letter case, doubled and trailing slashes, percent-encoding and dot segments make no difference. What is encoded twice
is decoded once, and names something else. A path that several routes fit belongs to the plain one, else to the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

_ODD = re.compile(r"//|/\.|/\Z")
Methods = dict[str, web.AbstractRoute]


def normal_path(path: str) -> str:
    """Return a decoded path without empty and dot segments; parameters keep their spelling, so letter case stays."""
    if path.startswith("/") and not _ODD.search(path):
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class Routes(web.AbstractResource):
    """All routes of an application, as the only resource that aiohttp's own dispatcher knows."""

    def __init__(self) -> None:
        super().__init__(name="routes")
        self._plain: dict[str, Methods] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Methods]] = []
        """With what each begins, lower-case: most of them need not be tried."""
        self._routes: list[web.AbstractRoute] = []

    def add(self, method: str, path: str, handler: Handler) -> web.AbstractRoute:
        """Add a route; ``path`` may hold parameters, as aiohttp writes them."""
        if "{" not in path:
            route = web.PlainResource(path).add_route(method, handler)
            self._plain.setdefault(normal_path(path).lower(), {}).setdefault(method, route)
        else:
            resource = web.DynamicResource(path)
            route = resource.add_route(method, handler)
            pattern = re.compile(resource.get_info()["pattern"].pattern, re.IGNORECASE)
            self._patterns.append((path.partition("{")[0].lower(), pattern, {method: route}))
        self._routes.append(route)
        return route

    def add_folder(self, prefix: str, resource: web.StaticResource) -> list[web.AbstractRoute]:
        """Add the files of a folder; return their routes."""
        routes = list(resource)
        pattern = re.compile(f"{re.escape(prefix)}/(?P<filename>.+)", re.IGNORECASE)
        self._patterns.append((f"{prefix}/".lower(), pattern, {route.method: route for route in routes}))
        self._routes.extend(routes)
        return routes

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Find the route of a request; without one, the methods that its path has."""
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            # aiohttp would repeat it in its answer, and fail where it is no text.
            raise web.HTTPExpectationFailed(text="Of all that a request may expect, only 100-continue can be had.")
        path = normal_path(request.rel_url.path)
        found = self.find(request.method, path)
        if found is not None:
            return web.UrlMappingMatchInfo(*found), set()
        return None, {method for _, methods in self._fitting(path) for method in methods}

    def find(self, method: str, path: str) -> tuple[dict[str, str], web.AbstractRoute] | None:
        """Return what answers a normal path, and the parameters in it."""
        for parameters, methods in self._fitting(path):
            if method in methods:
                return parameters, methods[method]
        return None

    def _fitting(self, path: str) -> Iterator[tuple[dict[str, str], Methods]]:
        lower = path.lower()
        plain = self._plain.get(lower)
        if plain is not None:
            yield {}, plain
        for beginning, pattern, methods in self._patterns:
            found = pattern.fullmatch(path) if lower.startswith(beginning) else None
            if found is not None:
                yield found.groupdict(), methods

    # --- what aiohttp asks of a resource ----------------------------------------------------------

    @property
    def canonical(self) -> str:
        """Everything is below it."""
        return "/"

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        return iter(self._routes)

    def get_info(self) -> Any:
        """Nothing: each route has a resource of its own, which says it."""
        return {}

    def raw_match(self, path: str) -> bool:
        """It is no path of its own."""
        return False

    def url_for(self, **kwargs: str) -> URL:
        """It has no address of its own."""
        raise NotImplementedError

    def add_prefix(self, prefix: str) -> None:
        """It is never part of another application."""
        raise NotImplementedError
