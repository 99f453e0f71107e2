"""``GET /openapi.json``: what the server can be asked, made of its declared routes, its modules' and their types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from ... import __version__
from ...commands.routing import RouteTable
from ...http.audience import Audience, Declaration, declare, declared
from ...http.envelope import json_answer
from . import api_shapes as shapes

Json = dict[str, Any]
_PARAMETER = re.compile(r"{(\w+)(?::[^}]*)?}")
_REST = "/v1/{module_route:.+}"
"""What is left to modules; the document has their routes in its place."""
_JSON, _FORMS = "application/json", ("application/x-www-form-urlencoded", "multipart/form-data")
_BYTES = "application/octet-stream"
_PLAIN = {"text/plain", _BYTES}
"""What errors may be besides JSON."""
_REFERENCE = "#/components/schemas/{name}"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What a route does. ``answer`` and ``body`` are types; ``media``: what it answers where that is not JSON."""

    summary: str
    answer: Any = None
    media: tuple[str, ...] = ()
    query: type[msgspec.Struct] | None = None
    body: Any = None
    takes: tuple[str, ...] = (_JSON,)


_PING = Operation(summary="The version that modules and clients check against", answer=shapes.Ping)
_UPDATE = Operation(summary="Whether there is a newer version", answer=shapes.Update)
_LOAD = Operation(summary="Load and memory", answer=shapes.SystemStatus)
_STATUSES = Operation(summary="How every module is", answer=shapes.Statuses)
_INSTALLED = Operation(summary="Which modules are installed", answer=shapes.Descriptions)
_SETTINGS = Operation(summary="A module's settings", answer=shapes.ModuleSettings)
_ONE = Operation(summary="Change one setting", answer=shapes.Done, body=shapes.Setting, takes=(_JSON, *_FORMS))
_MANY = Operation(summary="Change several settings", answer=shapes.Done, body=dict[str, dict[str, str]])
_PAGE = Operation(summary="A page", media=("text/html",))
_CONFIGS = "Settings, routes and pages of the modules"
_MODULE = Operation(
    summary="Call a module", answer=shapes.ModuleAnswer, media=("text/event-stream",), body=Json, takes=(_JSON, *_FORMS)
)
_POLL = {
    "get_command_status": "Poll a long command",
    "cancel_command": "Stop a long command",
}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/"): _PAGE,
    ("GET", "/explorer.html"): _PAGE,
    ("GET", "/chat.html"): _PAGE,
    ("GET", "/pages/{module_id}"): Operation(summary="A module's page", media=("text/html",)),
    ("GET", "/assets/{filename}"): Operation(
        summary="A file of the pages", media=("text/javascript", "text/css", "image/svg+xml", _BYTES)
    ),
    ("GET", "/healthz"): Operation(summary="Whether the server lives", answer=shapes.Said),
    ("GET", "/readyz"): Operation(summary="Whether it takes commands", answer=shapes.Said),
    ("GET", "/metrics"): Operation(
        summary="Figures for Prometheus", media=("text/plain", "application/openmetrics-text")
    ),
    ("GET", "/openapi.json"): Operation(summary="This document", answer=Json),
    ("GET", "/v1"): Operation(summary="Where to begin", answer=shapes.Index),
    ("GET", "/v1/server/status/ping"): _PING,
    ("GET", "/v1/server/status/version"): _PING,
    ("GET", "/v1/server/status/updateavailable"): _UPDATE,
    ("GET", "/v1/server/status/system-status"): _LOAD,
    ("GET", "/v1/status/ping"): _PING,
    ("GET", "/v1/status/version"): _PING,
    ("GET", "/v1/status/updateavailable"): _UPDATE,
    ("GET", "/v1/status/system-status"): _LOAD,
    ("POST", "/v1/log"): Operation(
        summary="Add a line to the log", answer=shapes.Done, body=shapes.NewLogEntry, takes=(_JSON, *_FORMS)
    ),
    ("GET", "/v1/log/list"): Operation(summary="Lines of the log", answer=shapes.LogEntries, query=shapes.LogQuery),
    ("GET", "/v1/whoami"): Operation(summary="Who the server takes you for", answer=shapes.Who),
    ("POST", "/v1/login"): Operation(
        summary="Log a page in", answer=shapes.Who, body=shapes.Key, takes=(_JSON, _FORMS[0])
    ),
    ("POST", "/v1/logout"): Operation(summary="Log a page out", answer=shapes.Done),
    ("GET", "/v1/module/list"): _INSTALLED,
    ("GET", "/v1/module/list/installed"): _INSTALLED,
    ("GET", "/v1/module/list/running"): Operation(summary=f"{_CONFIGS} that run", answer=shapes.Configs),
    ("GET", "/v1/module/list/all"): Operation(summary=_CONFIGS, answer=shapes.Configs),
    ("GET", "/v1/module/list/status"): _STATUSES,
    ("GET", "/v1/module/list/explorer-html"): Operation(summary="The pages of modules", answer=shapes.Pages),
    ("GET", "/v1/status/modules/list"): _STATUSES,
    ("GET", "/v1/status/analysis/list"): _STATUSES,
    ("GET", "/v1/server/status/modules/list"): _STATUSES,
    ("GET", "/v1/server/status/analysis/list"): _STATUSES,
    ("GET", "/v1/settings/{module_id}"): _SETTINGS,
    ("POST", "/v1/settings/{module_id}"): _ONE,
    ("POST", "/v1/settings"): _MANY,
    ("GET", "/v1/server/settings/{module_id}"): _SETTINGS,
    ("POST", "/v1/server/settings/{module_id}"): _ONE,
    ("POST", "/v1/server/settings"): _MANY,
    ("GET", "/v1/commands"): Operation(summary="Your own commands", answer=shapes.Commands, query=shapes.CommandsQuery),
    ("GET", "/v1/commands/{command_id}"): Operation(summary="One command", answer=shapes.CommandView),
    ("GET", "/v1/commands/{command_id}/events"): Operation(
        summary="Follow a command", answer=shapes.Events, media=("text/event-stream",), query=shapes.EventsQuery
    ),
    ("POST", "/v1/commands/{command_id}/cancel"): Operation(summary="Stop a command", answer=shapes.CommandView),
    ("GET", "/v1/channel"): Operation(summary="The channel of a module process: a WebSocket"),
    ("GET", "/v1/queue/{queue}"): Operation(
        summary="Take a request, as modules on the published SDK do", answer=Json, query=shapes.QueueQuery
    ),
    ("POST", "/v1/queue/{command_id}"): Operation(summary="Answer a request", media=("text/plain",), body=Json),
    ("POST", "/v1/queue/updatemodulestatus/{module_id}"): Operation(
        summary="Say how a module is", answer=Json, media=("text/plain",), body=Json, takes=_FORMS
    ),
}
"""Every route that the server declares, but a HEAD, which is a GET without its body."""


class OpenApi:
    """The route, and what makes the document."""

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes

    def add_to(self, app: web.Application) -> None:
        """Register the route."""
        declare(app, "GET", "/openapi.json", self._answer, Audience.WATCHER)

    async def _answer(self, request: web.Request) -> web.Response:
        return json_answer(document(declared(request.app), self._routes))


def document(declarations: list[Declaration], routes: RouteTable) -> Json:
    """Return the OpenAPI document of these routes of the server and of the modules."""
    paths: dict[str, Json] = {}
    for declaration in declarations:
        if declaration.path != _REST:
            method = "GET" if declaration.method == "HEAD" else declaration.method
            operation = OPERATIONS[method, declaration.path]
            described = _described(operation, declaration.path, declaration.method == "HEAD")
            described["description"] = f"For: {declaration.audience.value}."
            paths.setdefault(_PARAMETER.sub(r"{\1}", declaration.path), {})[declaration.method.lower()] = described
    _add_modules(paths, routes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Millrace", "version": __version__, "description": "See docs/http-api.md."},
        "paths": paths,
        "components": {"schemas": _COMPONENTS, "securitySchemes": _KEYS},
        "security": [{}, *({name: []} for name in _KEYS)],
    }


_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def _add_modules(paths: dict[str, Json], routes: RouteTable) -> None:
    for route in routes.all():
        paths[f"/v1/{route.path}"] = {"post": {**_described(_MODULE, ""), "tags": [route.module_id]}}
    for module_id in {route.module_id for route in routes.all()}:
        for name, summary in _POLL.items():
            poll = Operation(summary=summary, answer=shapes.ModuleAnswer, body=shapes.Poll, takes=(_JSON, *_FORMS))
            paths[f"/v1/{module_id}/{name}"] = {"post": {**_described(poll, ""), "tags": [module_id]}}


def _described(operation: Operation, path: str, head: bool = False) -> Json:
    """An operation in OpenAPI's words."""
    described: Json = {"summary": operation.summary, "responses": _responses(operation, head)}
    parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _PARAMETER.findall(path)]
    if operation.query is not None:
        parameters += _query(operation.query)
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        schema = _schema(operation.body)
        described["requestBody"] = {"content": {media: {"schema": schema} for media in operation.takes}}
    return described


def _responses(operation: Operation, head: bool) -> Json:
    """What it answers: as described, or an error, which on compatible routes is 200 too."""
    if head:
        return {"default": {"description": "As of GET, without a body."}}
    good: Json = {"description": operation.summary, "content": {}}
    if operation.answer is not None:
        good["content"][_JSON] = {"schema": {"anyOf": [_schema(operation.answer), _schema(shapes.Failed)]}}
    for media in operation.media:
        good["content"][media] = {"schema": _TEXT}
    if not good["content"]:
        del good["content"]
    bad: Json = {_JSON: {"schema": _schema(shapes.Failed)}}
    for media in _PLAIN & {*operation.media}:
        bad[media] = {"schema": _TEXT}
    return {"200": good, "default": {"description": "What went wrong.", "content": bad}}


def _query(query: type[msgspec.Struct]) -> list[Json]:
    schema = _COMPONENTS[query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _schema(kind: Any) -> Json:
    return msgspec.json.schema_components([kind], ref_template=_REFERENCE)[0][0]


def _types() -> list[Any]:
    kinds: list[Any] = [shapes.Failed, shapes.ModuleAnswer, shapes.Poll]
    for operation in OPERATIONS.values():
        kinds += [kind for kind in (operation.answer, operation.query, operation.body) if kind is not None]
    return kinds


def _components() -> dict[str, Json]:
    """The types by their names; their descriptions are one line each."""
    found: dict[str, Json] = msgspec.json.schema_components(_types(), ref_template=_REFERENCE)[1]
    return {name: {**one, "description": " ".join(one.get("description", "").split())} for name, one in found.items()}


_TEXT: Json = {"type": "string"}
_COMPONENTS = _components()
