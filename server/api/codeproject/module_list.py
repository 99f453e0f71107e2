"""The lists of modules that explorers and dashboards poll."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...hosting.host import ModuleHost
from ...http.audience import Audience, declare
from ...http.envelope import error, ok

_NONE_INSTALLED = "No backend modules have been registered yet"


def add_routes(app: web.Application, host: ModuleHost) -> None:
    """Register the routes."""
    lists = _ModuleLists(host)
    handlers = {
        "/v1/module/list": lists.installed,
        "/v1/module/list/installed": lists.installed,
        "/v1/module/list/running": lists.running,
        "/v1/module/list/all": lists.all,
        "/v1/module/list/status": lists.statuses,
        "/v1/module/list/explorer-html": lists.pages,
        "/v1/status/modules/list": lists.statuses,
        "/v1/status/analysis/list": lists.statuses,
        "/v1/server/status/modules/list": lists.statuses,
        "/v1/server/status/analysis/list": lists.statuses,
    }
    for path, handler in handlers.items():
        declare(app, "GET", path, handler, Audience.OWNER)


class _ModuleLists:
    """The handlers."""

    def __init__(self, host: ModuleHost) -> None:
        self._host = host

    async def statuses(self, request: web.Request) -> web.Response:
        return ok(statuses=self._host.statuses())

    async def installed(self, request: web.Request) -> web.Response:
        return _list_or_error(self._host.descriptions())

    async def running(self, request: web.Request) -> web.Response:
        if not self._host.configs(running_only=False):
            return error(_NONE_INSTALLED)
        return ok(modules=self._host.configs(running_only=True))

    async def all(self, request: web.Request) -> web.Response:
        """The same as ``running`` of every module whose settings are in order, whether or not it runs."""
        return ok(modules=self._host.configs(running_only=False))

    async def pages(self, request: web.Request) -> web.Response:
        pages = [config.ui_elements.explorer_ui for config in self._host.configs(running_only=True)]
        return ok(uiInsertions=[page for page in pages if page.html and page.script])


def _list_or_error(modules: list[Any]) -> web.Response:
    return ok(modules=modules) if modules else error(_NONE_INSTALLED)
