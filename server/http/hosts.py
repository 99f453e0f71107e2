"""The names of this server. A page that makes its own name point here (DNS rebinding) uses another one."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from .bad_request import shortened

_LOCAL_SUFFIXES = (".local", ".lan", ".home.arpa", ".internal", ".localhost")
"""Nobody outside can make these names point anywhere."""


class HostNames:
    """Tells by ``Host`` whether a request was meant for this server. ``allowed``: names, or patterns with ``*``."""

    def __init__(self, listening: str, allowed: Iterable[str]) -> None:
        own = socket.gethostname().lower()
        self._exact = {"localhost", own, own.partition(".")[0], listening.lower()}
        self._patterns = [wildcard(name) for name in allowed]
        self.knows = functools.lru_cache(maxsize=1024)(self._knows)

    def refusal_of(self, request: web.Request) -> str | None:
        """Say why the ``Host`` of a request is refused. None: it is not, or there is none, as in no browser."""
        host = request.headers.get("Host")
        if not host or self.knows(host):
            return None
        return (
            f"This server does not answer to the name '{shortened(name_in(host))}'. If that is one of its names, "
            "add it to the setting 'allowed_hosts' (MILLRACE_ALLOWED_HOSTS)."
        )

    def _knows(self, host: str) -> bool:
        name = name_in(host)
        return (
            name in self._exact
            or name.endswith(_LOCAL_SUFFIXES)
            or _is_address(name)
            or any(pattern.fullmatch(name) for pattern in self._patterns)
        )


def name_in(host: str) -> str:
    """Return the name in a ``Host`` header or an origin's authority, lower-case, without port and final dot."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return "?"


def wildcard(pattern: str) -> re.Pattern[str]:
    """Return what a setting such as ``*.example.com`` fits; ``*`` stands for printable ASCII without a slash."""
    return re.compile("[!-.0-~]*".join(map(re.escape, pattern.lower().split("*"))))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
