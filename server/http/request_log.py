"""What became of requests: how many were answered how, and on request a line for each in the access log."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..private_files import opener
from .guard import caller_of
from .request_id import RequestIds, request_id_of

Form = Literal["off", "json", "common"]
_GONE = 499
"""The status of a request whose client went away before its answer was made; nobody is sent it."""
_FILE_BYTES, _OLD_FILES = 10_000_000, 4


class RequestLog:
    """Sees every request and its answer. Its ``middleware`` must be outside of all that answer errors.

    A line of the access log has the path without its query: values in it may be what somebody asks a model, or a key.
    """

    def __init__(self, form: Form) -> None:
        self.answered: Counter[int] = Counter()
        """Requests by status."""
        self._form = form
        self._ids = RequestIds()
        self._logger = logging.getLogger("millrace.access")

    def add_to(self, app: web.Application) -> None:
        """Let it run with an application."""
        app.middlewares.insert(0, self.middleware)
        app.on_response_prepare.append(self._ids.mark)

    @property
    def middleware(self) -> Middleware:
        """Gives each request its id, and notes its end."""

        @web.middleware
        async def see(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._ids.give(request)
            began, status, size = time.monotonic(), _GONE, 0
            try:
                response = await handler(request)
                status, size = response.status, _size(request, response)
                return response
            except web.HTTPException as answered:
                status = answered.status
                raise
            finally:
                self.answered[status] += 1
                if self._form != "off":
                    self._logger.info(self._line(request, status, size, time.monotonic() - began))

        return see

    def _line(self, request: web.Request, status: int, size: int, seconds: float) -> str:
        now = datetime.now(timezone.utc)
        path, owner = request.rel_url.raw_path, _owner(request)
        if self._form == "json":
            line: dict[str, Any] = {
                "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "address": request.remote,
                "owner": owner,
                "method": request.method,
                "path": path,
                "status": status,
                "bytes": size,
                "ms": round(seconds * 1000, 1),
                "request_id": request_id_of(request),
            }
            return msgspec.json.encode(line).decode()
        version = f"HTTP/{request.version.major}.{request.version.minor}"
        stamp = now.strftime("%d/%b/%Y:%H:%M:%S +0000")
        user = quote(owner) if owner else "-"
        path = path.replace('"', "%22")  # else a path could end its field, and forge the next
        return f'{request.remote or "-"} - {user} [{stamp}] "{request.method} {path} {version}" {status} {size or "-"}'


def _size(request: web.Request, response: web.StreamResponse) -> int:
    """How long the body is; of a stream, what it has sent, its frame included."""
    if isinstance(response, web.Response):
        return response.content_length or 0
    return request.writer.output_size


def _owner(request: web.Request) -> str | None:
    try:
        return caller_of(request).owner
    except KeyError:  # it was refused before anybody asked
        return None


def open_access_log(folder: Path, form: Form) -> None:
    """Send the access log to ``access.log`` in the folder (5 files of 10 MB). Blocks. Raises ``OSError``."""
    if form == "off":
        return
    folder.mkdir(parents=True, exist_ok=True)
    handler = _PrivateFile(folder / "access.log", maxBytes=_FILE_BYTES, backupCount=_OLD_FILES, encoding="utf-8")
    logger = logging.getLogger("millrace.access")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)


class _PrivateFile(RotatingFileHandler):
    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=opener)
