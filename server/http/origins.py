"""Which web pages may ask: the server's own, and those that the setting ``allowed_origins`` names (CORS)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from .bad_request import shortened
from .hosts import name_in, wildcard

_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = "Authorization, Content-Type, X-API-Key, Last-Event-ID"
_HEADER_LIST = re.compile(r"[\w!#$%&'*+.^`|~, -]{1,1000}", re.ASCII)
_MAX_AGE_SECONDS = 600
_EXPOSED = "X-Command-Id, X-Request-Id, Retry-After"


class Origins:
    """``allowed``: origins such as https://app.example.com, patterns with ``*``, or ``*`` alone."""

    def __init__(self, allowed: Iterable[str]) -> None:
        origins = [origin.rstrip("/") if "://" in origin else origin for origin in allowed]
        self._any = "*" in origins
        self._patterns = [wildcard(origin) for origin in origins]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def refusal_of(self, request: web.Request, by_cookie: bool) -> str | None:
        """Say why a request that changes something is refused: a page provoked it that may not. None: it is not.

        ``by_cookie``: browsers add cookies by themselves, so only this very origin may send them.
        """
        origin = request.headers.get("Origin")
        if origin is None:
            site = request.headers.get("Sec-Fetch-Site", "same-origin" if not by_cookie else "none")
            trusted = site == "same-origin" or (site == "none" and not by_cookie)
            return None if trusted else "Another web page sent this request; only pages of this server may."
        if _same_origin(origin, request):
            return None
        if not by_cookie and (self.allows(origin) or _same_machine(origin, request)):
            return None
        if by_cookie:
            return "A log-in counts for pages of this server only; the page of another one must send a key."
        return (
            f"Requests from pages of '{shortened(origin)}' are not accepted. If you trust them, add it to the setting "
            "'allowed_origins' (MILLRACE_ALLOWED_ORIGINS)."
        )

    def allows(self, origin: str) -> bool:
        """Whether the settings name an origin."""
        return self._any or any(pattern.fullmatch(origin.lower()) for pattern in self._patterns)

    def preflight(self, request: web.Request) -> web.Response | None:
        """Answer what a browser asks before a page's request. None: the request is none, or not allowed."""
        asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not asked or not self.allows(request.headers.get("Origin", "")):
            return None
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": wanted if _HEADER_LIST.fullmatch(wanted) else _HEADERS,
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        }
        if "Access-Control-Request-Private-Network" in request.headers:
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page of an allowed origin read an answer, whatever it is."""
        origin = request.headers.get("Origin")
        response.headers.add("Vary", "Origin")
        if origin is None or not self.allows(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = "*" if self._any else origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        if not self._any:
            response.headers["Access-Control-Allow-Credentials"] = "true"


def _same_origin(origin: str, request: web.Request) -> bool:
    scheme, separator, authority = origin.lower().partition("://")
    return separator != "" and scheme in ("http", "https") and authority == request.headers.get("Host", "").lower()


def _same_machine(origin: str, request: web.Request) -> bool:
    """Whether a page was loaded from the machine that it asks, by another port or name for loopback."""
    try:
        page = urlsplit(origin)
        name = (page.hostname or "").rstrip(".")
    except ValueError:
        return False
    host = name_in(request.headers.get("Host", ""))
    if page.scheme not in ("http", "https") or not name:
        return False
    return name == host or {name, host} <= _LOOPBACK_NAMES
