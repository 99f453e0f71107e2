"""Request ids: what a client calls its request, or what the server does; in answers, logs and the module's command."""

from __future__ import annotations

import re

from aiohttp import web

from ..random_ids import RandomIds

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_DIGITS = 24
_ID = web.RequestKey("request_id", str)


class RequestIds:
    """Gives out ids."""

    def __init__(self) -> None:
        self._random = RandomIds(_DIGITS)

    def give(self, request: web.Request) -> str:
        """Return the id of a request: its client's, if it is well formed, or a new one."""
        sent = request.headers.get(HEADER, "")
        found = sent if sent and _WELL_FORMED.fullmatch(sent) else self._random.draw()
        request[_ID] = found
        return found

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say the id in the answer; a handler of the signal ``on_response_prepare``."""
        if _ID in request:
            response.headers[HEADER] = request[_ID]


def request_id_of(request: web.Request) -> str:
    """Return the id of a request."""
    found: str = request.get(_ID, "")
    return found
