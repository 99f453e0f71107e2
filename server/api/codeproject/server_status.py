"""What the server says of itself: ping, version, health, load."""

from __future__ import annotations

import asyncio
import platform
import re
from typing import Any

import psutil
from aiohttp import web

from ... import __version__
from ...commands.dispatcher import Dispatcher
from ...http.audience import Audience, declare
from ...http.envelope import error, ok
from ...loop_lag import LoopLag

_INDEX = "This is Millrace's HTTP API; docs/http-api.md describes it. These addresses are good to begin with."
_ADDRESSES = {
    "explorer": "/",
    "modules": "/v1/module/list/status",
    "routes": "/v1/module/list/running",
    "commands": "/v1/commands",
    "log": "/v1/log/list",
    "ping": "/v1/status/ping",
}


class ServerStatus:
    """The routes under ``/v1/server/status`` (and the older ``/v1/status``), and the two probes."""

    def __init__(self, compatible_version: str, dispatcher: Dispatcher, lag: LoopLag) -> None:
        self._version = compatible_version
        self._dispatcher = dispatcher
        self._lag = lag

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        for prefix in ("/v1/server/status", "/v1/status"):
            declare(app, "GET", f"{prefix}/ping", self._ping, Audience.OWNER)
            declare(app, "GET", f"{prefix}/version", self._ping, Audience.OWNER)
            declare(app, "GET", f"{prefix}/updateavailable", self._update, Audience.OWNER)
            declare(app, "GET", f"{prefix}/system-status", self._system, Audience.OWNER)
        declare(app, "GET", "/v1", self._index, Audience.OWNER)
        declare(app, "GET", "/healthz", self._healthy, Audience.ANYBODY)
        declare(app, "GET", "/readyz", self._ready, Audience.ANYBODY)

    async def _index(self, request: web.Request) -> web.Response:
        """What somebody sees who opens the address of the API itself."""
        return ok(message=_INDEX, millrace=__version__, addresses=_ADDRESSES)

    async def _ping(self, request: web.Request) -> web.Response:
        return ok(message=self._version, version=version_parts(self._version), millrace=__version__)

    async def _update(self, request: web.Request) -> web.Response:
        """Millrace does not look for updates by itself: nothing is sent anywhere unasked."""
        version = version_parts(self._version)
        same = {"current": version, "latest": version, "version": version}
        return ok(message="This server does not check for updates.", updateAvailable=False, **same)

    async def _system(self, request: web.Request) -> web.Response:
        data = await asyncio.to_thread(_system_figures)
        p99 = self._lag.histogram.percentile(0.99)
        data["loopLagP99Ms"] = None if p99 is None else p99 * 1000
        return ok(data=data)

    async def _healthy(self, request: web.Request) -> web.Response:
        return ok()

    async def _ready(self, request: web.Request) -> web.Response:
        if self._dispatcher.accepting:
            return ok()
        return error("The server is shutting down.", status=503, code=503)


def version_parts(version: str) -> dict[str, Any]:
    """Return a version text in the object form that clients read."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:-([\w.]+))?(?:\+(\d+))?", version)
    parts = found.groups() if found else ("0", "0", "0", version, None)
    return {
        "major": int(parts[0] or 0),
        "minor": int(parts[1] or 0),
        "patch": int(parts[2] or 0),
        "preRelease": parts[3],
        "securityUpdate": False,
        "build": int(parts[4] or 0),
        "file": None,
        "releaseNotes": None,
    }


def _system_figures() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    text = f"Operating system: {platform.platform()}\nPython: {platform.python_version()}\nMillrace: {__version__}"
    return {
        "cpuUsage": int(psutil.cpu_percent(interval=None)),
        "systemMemUsage": int(memory.total - memory.available),
        "gpuUsage": 0,
        "gpuMemUsage": 0,
        "serverStatus": text,
    }
