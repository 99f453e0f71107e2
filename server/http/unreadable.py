"""Requests that are no HTTP: a JSON answer each, and a line in the log now and then, instead of a traceback each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong

from .bad_request import shortened
from .envelope import error

_SAY_AGAIN_SECONDS = 60.0
_TOO_MANY = "Too many headers"


class HandlerMaker:
    """Makes the object that speaks HTTP on a connection; ``options`` are those of aiohttp's ``RequestHandler``."""

    def __init__(
        self,
        server: web.Server,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self._server = server
        self._say = say
        self._clock = clock
        self._options = options
        self._said = float("-inf")
        self._unsaid = 0

    def __call__(self) -> web.RequestHandler:
        """Return one for a new connection."""
        handler = _Handler(self._server, loop=asyncio.get_running_loop(), **self._options)
        handler.note_unreadable = self._note
        return handler

    def _note(self, remote: str, text: str) -> None:
        if self._clock() - self._said < _SAY_AGAIN_SECONDS:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more like it since the last one was noted)" if self._unsaid else ""
        self._said, self._unsaid = self._clock(), 0
        self._say(f"A request from {remote} cannot be read: {text}{more}")


class _Handler(web.RequestHandler):
    __slots__ = ("note_unreadable",)

    note_unreadable: Callable[[str, str], None]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refused; see aiohttp."""
        if isinstance(exc, ConnectionError):
            return web.Response(status=status)  # who asked has gone away: nobody reads it, and it is no news
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        text = shortened(" ".join((message or "").split(":", 1)[0].split()))
        too_large = isinstance(exc, LineTooLong) or text.startswith(_TOO_MANY)
        self.note_unreadable(request.remote or "somebody", text)
        code = 431 if too_large else 400
        answer = error(f"The request cannot be read: {text}.", status=code, code=code)
        answer.force_close()
        return answer
