"""The HTTP application: which middlewares run, and how a path finds its handler."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import ServerSettings
from ..log_book import LogBook
from .errors import error_middleware
from .guard import owner_middleware

MODULE_ROUTES = "module-routes"
"""The name of the resource that takes what no other route under ``/v1/`` takes."""


def new_application(settings: ServerSettings, log: LogBook, module_routes: Handler) -> web.Application:
    """Return an application without routes; ``module_routes`` answers what they leave under ``/v1/``."""
    middlewares = [error_middleware(log), owner_middleware(settings), _lenient_paths(module_routes)]
    return web.Application(middlewares=middlewares, client_max_size=settings.max_body_bytes)


def add_module_routes(app: web.Application, handler: Handler) -> None:
    """Let ``handler`` answer what is left under ``/v1/``; called after all other routes were added."""
    resource = app.router.add_resource("/v1/{module_route:.+}", name=MODULE_ROUTES)
    resource.add_route("POST", handler)
    resource.add_route("GET", handler)


def own_paths(app: web.Application) -> Callable[[str], bool]:
    """Return what tells whether the server itself answers a POST to a path under ``/v1/``; any letter case."""
    exact: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for route in app.router.routes():
        resource = route.resource
        if resource is None or resource.name == MODULE_ROUTES or route.method not in ("POST", "*"):
            continue
        found = resource.get_info()
        if "pattern" in found:
            patterns.append(found["pattern"])
        elif "path" in found:
            exact.add(found["path"])

    def is_own(path: str) -> bool:
        full = f"/v1/{path}"
        return full in exact or any(pattern.fullmatch(full) for pattern in patterns)

    return is_own


def _lenient_paths(module_routes: Handler) -> Middleware:
    """Accept any letter case and a trailing slash, as clients of the ancestor do."""

    @web.middleware
    async def find(request: web.Request, handler: Handler) -> web.StreamResponse:
        found = request.match_info
        module_route = found.http_exception is None and found.route.name == MODULE_ROUTES
        if found.http_exception is None and not module_route:
            return await handler(request)
        plain = "/" + request.path.strip("/").lower()
        if plain != request.path:
            twin = request.clone(rel_url=request.rel_url.with_path(plain, keep_query=True))
            found = await request.app.router.resolve(twin)
            if found.http_exception is None and found.route.name != MODULE_ROUTES:
                twin._match_info = found  # aiohttp's own dispatch sets it the same way
                found.add_app(request.app)
                return await found.handler(twin)
        if module_route or (request.method in ("GET", "POST") and plain.startswith("/v1/")):
            return await module_routes(request)
        return await handler(request)

    return find
