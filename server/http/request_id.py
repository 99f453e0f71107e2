"""Request ids: what a client calls its request, or what the server does; in answers, logs and the module's command."""

from __future__ import annotations

import os
import re

from aiohttp import web

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_ID_BYTES = 12
_BLOCK_IDS = 256
_ID = web.RequestKey("request_id", str)


class RequestIds:
    """Gives out ids. Random bytes are drawn for many at a time: to ask the system for each costs more than the rest."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def give(self, request: web.Request) -> str:
        """Return the id of a request: its client's, if it is well formed, or a new one."""
        sent = request.headers.get(HEADER, "")
        found = sent if sent and _WELL_FORMED.fullmatch(sent) else self._new()
        request[_ID] = found
        return found

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say the id in the answer; a handler of the signal ``on_response_prepare``."""
        if _ID in request:
            response.headers[HEADER] = request[_ID]

    def _new(self) -> str:
        if not self._drawn:
            block = os.urandom(_ID_BYTES * _BLOCK_IDS).hex()
            length = 2 * _ID_BYTES
            self._drawn = [block[start : start + length] for start in range(0, len(block), length)]
        return self._drawn.pop()


def request_id_of(request: web.Request) -> str:
    """Return the id of a request."""
    found: str = request.get(_ID, "")
    return found
