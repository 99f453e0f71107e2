"""Whom each route serves. A route that was not declared here serves nobody."""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from .routes import Routes

_SAFE = {"GET", "HEAD", "OPTIONS"}


class Audience(enum.Enum):
    """Who may use a route."""

    ANYBODY = "anybody"
    """Without a key: pages, probes, the log-in. They show nothing private."""
    OWNER = "owner"
    """Who has an API key or needs none; everybody sees only what is their own."""
    WATCHER = "watcher"
    """Who may see how the server fares: administrators, and the addresses that need no key."""
    ADMINISTRATOR = "administrator"
    """Who may change what runs here."""
    MODULE = "module"
    """A module process of this machine, never a web page. The handler asks it to prove itself."""


class Declaration(msgspec.Struct, frozen=True):
    """One route and whom it serves. ``effects``: a request changes something, so no foreign page may provoke it."""

    method: str
    path: str
    audience: Audience
    effects: bool
    form_key: bool = False
    """A key may also stand in the query or the form, where clients of DeepStack send it."""


_ROUTES = web.AppKey("routes", Routes)
_DECLARED = web.AppKey("declared", dict[web.AbstractRoute, Declaration])


def begin_routes(app: web.Application) -> None:
    """Give an application its table of routes, which is empty."""
    app[_ROUTES] = Routes()
    app[_DECLARED] = {}
    app.router.register_resource(app[_ROUTES])


def declare(
    app: web.Application,
    method: str,
    path: str,
    handler: Handler,
    audience: Audience,
    *,
    effects: bool | None = None,
    form_key: bool = False,
) -> None:
    """Add a route. A GET is a HEAD too, unless it has ``effects``: by default what is not GET, HEAD or OPTIONS."""
    changes = method not in _SAFE if effects is None else effects
    for name in ("GET", "HEAD") if method == "GET" and not changes else (method,):
        _note(app, app[_ROUTES].add(name, path, handler), Declaration(name, path, audience, changes, form_key))


def declare_folder(app: web.Application, prefix: str, folder: Path, audience: Audience) -> None:
    """Serve the files of a folder under a prefix."""
    for route in app[_ROUTES].add_folder(prefix, web.StaticResource(prefix, folder)):
        _note(app, route, Declaration(route.method, f"{prefix}/{{filename}}", audience, False))


def declared(app: web.Application) -> list[Declaration]:
    """Return what was declared, in the order in which it was."""
    return list(app[_DECLARED].values())


def declaration_of(request: web.Request) -> Declaration | None:
    """Return what was declared of the route that answers a request."""
    return request.app[_DECLARED].get(request.match_info.route)


def declaration_at(app: web.Application, method: str, path: str) -> Declaration | None:
    """Return what was declared of the route that answers a path."""
    found = app[_ROUTES].find(method, path)
    return None if found is None else app[_DECLARED][found[1]]


def _note(app: web.Application, route: web.AbstractRoute, declaration: Declaration) -> None:
    app[_DECLARED][route] = declaration
