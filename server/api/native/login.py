"""The log-in of the pages: the key once, then a cookie that scripts cannot read and other sites cannot send."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from ...http.audience import Audience, declare
from ...http.bad_request import BadRequestError
from ...http.caller import NOBODY, Caller, Way
from ...http.connections import STRANGER
from ...http.envelope import ok
from ...http.guard import Guard, caller_of, unknown
from ...http.key_file import digest_of

MAX_BODY_BYTES = 16 * 1024


class _Shown(msgspec.Struct):
    key: str


class LoginRoutes:
    """``/v1/login``, ``/v1/logout`` and ``/v1/whoami``; all of them answer anybody."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        declare(app, "GET", "/v1/whoami", self._whoami, Audience.ANYBODY)
        declare(app, "POST", "/v1/login", self._login, Audience.ANYBODY)
        declare(app, "POST", "/v1/logout", self._logout, Audience.ANYBODY)

    async def _whoami(self, request: web.Request) -> web.Response:
        return self._answer(caller_of(request))

    async def _login(self, request: web.Request) -> web.Response:
        """Take ``key`` as JSON or form; answer with a cookie. Where no keys are needed there is nothing to do."""
        key = _key_in(await _small_body(request))
        if not self._guard.keys.configured:
            return self._answer(caller_of(request))
        caller = self._guard.by_key(request, key, Way.SESSION) if key else NOBODY
        if caller.owner is None:
            return unknown(caller).answer()
        sessions = self._guard.sessions
        answer = self._answer(caller)
        answer.set_cookie(
            sessions.cookie,
            await sessions.begin(digest_of(key)),
            max_age=int(sessions.lifetime),
            httponly=True,
            samesite="Strict",
            secure=_is_encrypted(request),
        )
        return answer

    async def _logout(self, request: web.Request) -> web.Response:
        sessions = self._guard.sessions
        await sessions.end(request)
        answer = ok()
        answer.del_cookie(sessions.cookie, httponly=True, samesite="Strict", secure=_is_encrypted(request))
        return answer

    def _answer(self, caller: Caller) -> web.Response:
        answer = ok(
            owner=caller.owner,
            way=caller.way.value,
            administrator=caller.administrator,
            keyNeeded=self._guard.keys.configured and caller.owner is None,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer


async def _small_body(request: web.Request) -> bytes:
    """Return the body. Raises ``BadRequestError``: nobody has shown a key yet, so it must be small."""
    request[STRANGER] = True
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadRequestError(f"The body of a log-in is larger than {MAX_BODY_BYTES} bytes.", 413)
    return bytes(body)


def _key_in(body: bytes) -> str:
    try:
        if body.lstrip().startswith(b"{"):
            return msgspec.json.decode(body, type=_Shown).key.strip()
        return dict(parse_qsl(body.decode(), errors="strict")).get("key", "").strip()
    except (ValueError, RecursionError):  # the second: it is nested too deeply
        raise BadRequestError('Send {"key": "…"} as JSON, or a form with the field \'key\'.') from None


def _is_encrypted(request: web.Request) -> bool:
    """Whether the browser speaks HTTPS, be it with a proxy in front: who lies only spoils their own cookie."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
