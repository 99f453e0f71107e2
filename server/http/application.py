"""The HTTP application: which middlewares run, and which paths the server keeps from modules."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from ..config import ServerSettings
from ..log_book import LogBook
from .audience import Audience, begin_routes, declaration_at, declare
from .errors import error_middleware
from .guard import Guard

_MODULE_ROUTES = "/v1/{module_route:.+}"


def new_application(settings: ServerSettings, log: LogBook) -> web.Application:
    """Return an application without routes."""
    guard = Guard(settings, log)
    middlewares = [error_middleware(log), guard.middleware]
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body_bytes)
    begin_routes(app)
    guard.add_to(app)
    return app


def add_module_routes(app: web.Application, handler: Handler) -> None:
    """Let ``handler`` answer what is left under ``/v1/``; called after all other routes were added."""
    for method in ("POST", "GET"):
        declare(app, method, _MODULE_ROUTES, handler, Audience.OWNER, effects=True, form_key=True)


def own_paths(app: web.Application) -> Callable[[str], bool]:
    """Return what tells whether the server itself answers a POST to a path under ``/v1/``; any letter case."""

    def is_own(path: str) -> bool:
        found = declaration_at(app, "POST", f"/v1/{path}")
        return found is not None and found.path != _MODULE_ROUTES

    return is_own
