"""Answers in the compatible shape: ``success``, ``code``, ``hostname``, and always a Content-Length."""

from __future__ import annotations

import functools
import socket
import time
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from ..text import well_formed

HOSTNAME = socket.gethostname()
_JSON = {"Content-Type": "application/json"}
_encode = msgspec.json.Encoder().encode


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return the time as HTTP writes it; made once a second, because every answer carries it."""
    return formatdate(second, usegmt=True)


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer; ``body`` is anything msgspec can encode. It ends its line, for terminals."""
    return web.Response(body=_encode(body) + b"\n", status=status, headers=headers, content_type="application/json")


def ok(**fields: Any) -> web.Response:
    """Return a successful answer of the server itself."""
    return json_answer({"success": True, "code": 200, "hostname": HOSTNAME, **fields})


def error(text: str, *, status: int = 200, code: int = 500, **fields: Any) -> web.Response:
    """Return an error answer. Compatible routes keep HTTP status 200 and say it in ``success`` and ``code``."""
    body = {"success": False, "code": code, "hostname": HOSTNAME, "error": well_formed(text), **fields}
    return json_answer(body, status)


def proxy_fields(received: float) -> dict[str, Any]:
    """Return what the server adds to every module answer. ``received``: ``time.monotonic()`` at arrival."""
    return {
        "analysisRoundTripMs": int((time.monotonic() - received) * 1000),
        "processedBy": "localhost",
        "timestampUTC": _date(int(time.time())),
    }


def module_answer(output: bytes, received: float) -> web.Response:
    """Forward a module's JSON object as it is, with the server's fields appended; nothing is parsed."""
    head = output.rstrip()[:-1].rstrip()
    separator = b"" if head.endswith(b"{") else b","
    body = head + separator + _encode(proxy_fields(received))[1:] + b"\n"
    return web.Response(body=body, headers=_JSON)
