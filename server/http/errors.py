"""Turns whatever goes wrong with a request into a clear JSON answer."""

from __future__ import annotations

import errno

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..log_book import LogBook
from .bad_request import BadRequestError
from .envelope import error
from .request_id import request_id_of

_LONGEST_NAME = 255
"""Bytes, on every file system that is common."""


def error_middleware(log: LogBook) -> Middleware:
    """Return the middleware that answers errors."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequestError as bad:
            return error(str(bad), status=bad.status, code=bad.status)
        except web.HTTPException as answered:
            if answered.status < 400:
                raise
            return error(_text(request, answered), status=answered.status, code=answered.status)
        except Exception as unexpected:
            if _is_too_long_a_name(request, unexpected):
                return error("There is no file with so long a name.", status=404, code=404)
            if not _has_gone_away(request, unexpected):
                name = f"{request.method} {request.path} (request {request_id_of(request)})"
                log.add(f"{name} failed: {unexpected!r}", "error")
            return error("The server failed to answer; its log says more.", status=500)

    return answer


def _has_gone_away(request: web.Request, unexpected: Exception) -> bool:
    """Whether all that failed was telling somebody something who is not there any more."""
    gone = request.transport is None or request.transport.is_closing()
    return gone and isinstance(unexpected, ConnectionError)


def _is_too_long_a_name(request: web.Request, unexpected: Exception) -> bool:
    """Whether a file was asked for, outside of the API, whose name no file can have."""
    if not isinstance(unexpected, OSError) or unexpected.errno != errno.ENAMETOOLONG:
        return False
    return not request.path.lower().startswith("/v1/") and len(request.path.encode()) > _LONGEST_NAME


def _text(request: web.Request, answered: web.HTTPException) -> str:
    if answered.status == 404:
        return f"There is nothing at '{request.path}'. GET /v1/module/list/running shows the routes of each module."
    if answered.status == 405:
        allowed = answered.headers.get("Allow", "POST")
        return f"{request.method} is not possible at '{request.path}'; use {allowed}."
    return answered.text or answered.reason
