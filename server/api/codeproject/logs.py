"""The log: modules post entries, pages read them."""

from __future__ import annotations

from aiohttp import web

from ...http.audience import Audience, declare
from ...http.bad_request import whole_number
from ...http.envelope import error, ok
from ...http.request_body import BodyReader
from ...log_book import LogBook


class LogRoutes:
    """The routes under ``/v1/log``."""

    def __init__(self, log: LogBook, bodies: BodyReader, most_bytes: int) -> None:
        """``most_bytes``: of the body that posts one entry."""
        self._log = log
        self._bodies = bodies
        self._most_bytes = most_bytes

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        declare(app, "POST", "/v1/log", self._add, Audience.OWNER)
        declare(app, "GET", "/v1/log/list", self._entries, Audience.OWNER)

    async def _add(self, request: web.Request) -> web.Response:
        async with self._bodies.read(request, most_bytes=self._most_bytes) as received:
            values = {item.key: item.value[0] for item in received.payload.values if item.value}
        if not values.get("entry"):
            return error("No log entry provided")
        level = values.get("log_level") or "information"
        self._log.add(values["entry"], level, values.get("category") or "Module", values.get("label", ""))
        return ok()

    async def _entries(self, request: web.Request) -> web.Response:
        last_id = whole_number(request.query.get("last_id", "0"), "last_id")
        count = whole_number(request.query.get("count", "10"), "count")
        return ok(entries=self._log.after(last_id, count))
