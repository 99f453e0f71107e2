"""Who is asking, and whether the route serves them: keys, addresses, and the checks that keep other web pages out."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from codeproject_ai_sdk.protocol import NamedValue

from ..commands.command import Payload
from ..commands.dispatcher import Dispatcher
from ..config import ServerSettings
from ..log_book import LogBook
from .addresses import Networks, is_loopback
from .api_keys import KeyRing
from .audience import Audience, Declaration, declaration_of
from .caller import NOBODY, Caller, Way
from .connections import STRANGER
from .envelope import error
from .hosts import HostNames
from .key_attempts import KeyAttempts
from .key_file import digest_of
from .origins import Origins
from .owner_limits import OwnerLimits
from .sessions import Sessions
from .unknown_bodies import Place, UnknownBodies

ANONYMOUS = "anonymous"
FORM_KEY = "api_key"
"""The value of form or query in which clients of DeepStack send their key."""
_CALLER = web.RequestKey("caller", Caller)
_PLACE = web.RequestKey("place", Place)
_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""What proxies add, and no module does. To the server, whoever comes by one on this machine is on this machine."""
_COMMANDS_RETRY_SECONDS = 5.0
_KEY_NEEDED = "An API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
_ADMINISTRATORS_ONLY = (
    "Only an administrator may do this: with API keys, an owner that the server's setting 'administrators' names, or "
    "whose key was added as an administrator's; without, whoever is on this machine."
)


class RefusedError(Exception):
    """A request is turned away although its handler has begun."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


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
        self._limits = OwnerLimits(settings.owner_requests, settings.owner_commands)
        self._unknown_bodies = UnknownBodies(settings.max_unknown_bodies)
        self.unknown_body_bytes = settings.max_unknown_body_bytes

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
            if refusal is None:
                refusal = self._rate_refusal(caller)
            if refusal is None:
                return await self._answer(request, handler)
            if declared is not None and self._may_hold_key(request, declared, refusal):
                return await self._answer_unknown(request, handler)
            return refusal.answer()

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

    def by_form(self, request: web.Request, values: list[NamedValue]) -> None:
        """Take the key out of the values of a call to a module; nothing below may see it.

        Raises ``RefusedError`` when nobody knows yet who calls, and this key does not tell.
        """
        if not self.keys.configured:
            return  # then it is a value like any other
        sent = [text for item in values if item.key.lower() == FORM_KEY for text in item.value if text.strip()]
        values[:] = [item for item in values if item.key.lower() != FORM_KEY]
        caller = request[_CALLER]
        if caller.owner is not None:
            return
        caller = request[_CALLER] = self.by_key(request, sent[-1].strip(), Way.FORM) if sent else NOBODY
        request[STRANGER] = caller.owner is None
        request[_PLACE].give_back()
        refusal = unknown(caller) if caller.owner is None else self._rate_refusal(caller)
        if refusal is not None:
            raise RefusedError(refusal)

    async def check_commands(self, owner: str, request: web.Request, dispatcher: Dispatcher) -> None:
        """Raise ``RefusedError`` when an owner has as many commands as one may have."""
        if request[_CALLER].way is Way.LOCAL or not await self._limits.has_too_many(owner, dispatcher):
            return
        text = "You have as many commands waiting and running as one owner may have (owner_commands). Try again later."
        raise RefusedError(Refusal(429, text, _COMMANDS_RETRY_SECONDS))

    def _may_hold_key(self, request: web.Request, declared: Declaration, refusal: Refusal) -> bool:
        expected = declared.form_key and request.method == "POST" and request.body_exists
        return expected and refusal.status == 401 and not request.query.get(FORM_KEY)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refused:
            return refused.refusal.answer()

    def _rate_refusal(self, caller: Caller) -> Refusal | None:
        """Refuse an owner who asks too often. The user of this machine and its modules are not counted."""
        if caller.owner is None or caller.way in (Way.LOCAL, Way.PROCESS):
            return None
        wait = self._limits.wait(caller.owner)
        return Refusal(429, "You ask more often than one owner may (owner_requests).", wait) if wait else None

    async def _answer_unknown(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a handler read the form. Unless it found a key there, nothing that it answers is sent."""
        request[STRANGER] = True
        async with self._unknown_bodies.reading(request.remote or "") as request[_PLACE]:
            answer = await self._answer(request, handler)
        return answer if request[_CALLER].owner is not None else unknown(NOBODY).answer()

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
        sent = request.query.get(FORM_KEY, "") if declared is not None and declared.form_key else ""
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


def owner_by_form(request: web.Request, payload: Payload) -> str:
    """Return who submitted this call to a module, whose key may be among its values; it is taken out of them.

    Raises ``RefusedError``, which the guard answers.
    """
    request.app[GUARD].by_form(request, payload.values)
    return owner_of(request)


async def check_commands(request: web.Request, owner: str, dispatcher: Dispatcher) -> None:
    """Raise ``RefusedError``, which the guard answers, when an owner has as many commands as one may have."""
    await request.app[GUARD].check_commands(owner, request, dispatcher)


def most_bytes(request: web.Request) -> int | None:
    """Return how large the body of a call to a module may be for its caller; ``None``: as large as any."""
    return request.app[GUARD].unknown_body_bytes if request[_CALLER].owner is None else None


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
    if declared.audience is Audience.WATCHER and not (caller.administrator or caller.way is Way.ADDRESS):
        return Refusal(403, f"{_ADMINISTRATORS_ONLY} So may the addresses that 'allowed_addresses' names.")
    if declared.audience is Audience.ADMINISTRATOR and not caller.administrator:
        return Refusal(403, _ADMINISTRATORS_ONLY)
    return None


def _module_refusal(request: web.Request) -> Refusal | None:
    """Let in what may be a module process: a program on this machine. Browsers say of themselves what they are."""
    if not is_loopback(request):
        return Refusal(403, "Only module processes on this machine may use this.")
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        return Refusal(403, "No web page may use this: it is for module processes.")
    if any(name in request.headers for name in _FORWARDED):
        return Refusal(403, "Nobody may use this by way of a proxy: it is for module processes on this machine.")
    return None
