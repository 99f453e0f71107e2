"""Who is asking, and whether the route serves them: keys, addresses, and the checks that keep other web pages out."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import ServerSettings
from ..log_book import LogBook
from .addresses import Networks, is_loopback
from .api_keys import KeyRing
from .audience import Audience, Declaration, declaration_of
from .caller import NOBODY, Caller, Way
from .envelope import error
from .hosts import HostNames
from .key_attempts import KeyAttempts
from .key_file import digest_of
from .origins import Origins
from .sessions import Sessions

ANONYMOUS = "anonymous"
QUERY_KEY = "api_key"
"""The query value in which DeepStack's clients may send their key."""
_CALLER = web.RequestKey("caller", Caller)
_KEY_NEEDED = "An API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
_ADMINISTRATORS_ONLY = (
    "Only an administrator may do this: with API keys, an owner that the server's setting 'administrators' names, or "
    "whose key was added as an administrator's; without, whoever is on this machine."
)


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is turned away, and after how many seconds it may come again; 0: never like this."""

    status: int
    text: str
    wait: float = 0.0

    def answer(self) -> web.Response:
        """Return what is sent."""
        headers = {"Retry-After": str(math.ceil(self.wait))} if self.wait else {}
        answer = error(self.text, status=self.status, code=self.status)
        answer.headers.update(headers)
        return answer


class Guard:
    """Knows the callers of one server."""

    def __init__(self, settings: ServerSettings, log: LogBook) -> None:
        self.keys = KeyRing(settings.api_keys, settings.administrators, settings.keys_file, log)
        self.sessions = Sessions(settings.data_dir / "sessions.json", settings.session_lifetime, log)
        self.process_owner: Callable[[web.Request], str | None] = lambda request: None
        """Returns whose work the module process does that sends a request; ``None`` when it is none."""
        self._attempts = KeyAttempts()
        self._hosts = HostNames(settings.host, settings.allowed_hosts)
        self._origins = Origins(settings.allowed_origins)
        self._networks = Networks(settings.allowed_addresses)
        self._local_only = settings.loopback_only

    def add_to(self, app: web.Application) -> None:
        """Let it run with an application."""
        app[GUARD] = self
        app.cleanup_ctx.append(self.keys.watching)
        app.on_startup.append(self.sessions.load)
        if self._origins:
            app.on_response_prepare.append(self._origins.mark)

    @property
    def middleware(self) -> Middleware:
        """Finds the caller of each request and turns away whom its route does not serve."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            preflight = self._origins.preflight(request) if self._origins else None
            if preflight is not None:
                return preflight
            declared = declaration_of(request)
            caller = request[_CALLER] = self._caller(request, declared)
            refusal = self._page_refusal(request, declared, caller)
            if refusal is None:
                refusal = _audience_refusal(request, declared, caller)
            return await handler(request) if refusal is None else refusal.answer()

        return check

    def by_key(self, request: web.Request, key: str, way: Way) -> Caller:
        """Return whose key it is. Wrong keys are counted for each address that needs one."""
        address, digest = request.remote or "", digest_of(key)
        exempt = self._networks.hold(request)
        wait = 0.0 if exempt else self._attempts.wait(address, digest)
        if wait:
            return Caller(None, Way.UNKNOWN, wait=wait)
        known = self.keys.known(digest)
        if known is not None:
            self._attempts.right(address, digest)
            return Caller(known.owner, way, known.administrator)
        if not exempt:
            self._attempts.wrong(address)
        return NOBODY

    def _caller(self, request: web.Request, declared: Declaration | None) -> Caller:
        needed = self.keys.configured
        found = self._by_proof(request, declared) if needed else NOBODY
        if found.owner is not None:
            return found
        if self._networks.hold(request):
            return Caller(ANONYMOUS, Way.ADDRESS, not needed and is_loopback(request))
        if not needed and (self._local_only or is_loopback(request)):
            return Caller(ANONYMOUS, Way.LOCAL, is_loopback(request))
        return found

    def _by_proof(self, request: web.Request, declared: Declaration | None) -> Caller:
        """Find a caller by a key or what stands for one; the first that is there counts."""
        sent = _header_key(request)
        if sent:
            return self.by_key(request, sent, Way.KEY)
        owner = self.process_owner(request)
        if owner is not None:
            return Caller(owner, Way.PROCESS)
        known = self.keys.known(self.sessions.key_of(request) or "")
        if known is not None:
            return Caller(known.owner, Way.SESSION, known.administrator)
        sent = request.query.get(QUERY_KEY, "") if declared is not None and declared.form_key else ""
        return self.by_key(request, sent, Way.FORM) if sent else NOBODY

    def _page_refusal(self, request: web.Request, declared: Declaration | None, caller: Caller) -> Refusal | None:
        """Refuse a foreign name for this server, and what a foreign page would change."""
        text = None if caller.way is Way.KEY else self._hosts.refusal_of(request)
        if text is None and declared is not None and declared.effects:
            text = self._origins.refusal_of(request, caller.way is Way.SESSION)
        return None if text is None else Refusal(403, text)


GUARD = web.AppKey("guard", Guard)
"""The guard of an application."""


def caller_of(request: web.Request) -> Caller:
    """Return who sent this request."""
    return request[_CALLER]


def owner_of(request: web.Request) -> str:
    """Return who submitted this request: the name of its API key, or the anonymous local user."""
    owner = request[_CALLER].owner
    if owner is None:
        raise LookupError("This route serves also those whom nobody knows: they own nothing.")
    return owner


def unknown(caller: Caller) -> Refusal:
    """Refuse who has not shown a valid key."""
    if caller.wait:
        return Refusal(429, "Too many wrong API keys came from your address. Try again later.", caller.wait)
    return Refusal(401, _KEY_NEEDED)


def _header_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-API-Key", "").strip()


def _audience_refusal(request: web.Request, declared: Declaration | None, caller: Caller) -> Refusal | None:
    """Refuse who is not among those that the route serves; what was not declared serves nobody."""
    if declared is None:
        nothing_there = request.match_info.http_exception is not None
        return None if nothing_there else Refusal(403, f"'{request.path}' is open to nobody.")
    if declared.audience is Audience.ANYBODY:
        return None
    if declared.audience is Audience.MODULE:
        return _module_refusal(request)
    if caller.owner is None:
        return unknown(caller)
    if declared.audience is Audience.ADMINISTRATOR and not caller.administrator:
        return Refusal(403, _ADMINISTRATORS_ONLY)
    return None


def _module_refusal(request: web.Request) -> Refusal | None:
    """Let in what may be a module process: a program on this machine. Browsers say of themselves what they are."""
    if not is_loopback(request):
        return Refusal(403, "Only module processes on this machine may use this.")
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        return Refusal(403, "No web page may use this: it is for module processes.")
    return None
