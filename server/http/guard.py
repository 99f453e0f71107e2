"""Who is asking, and whether the route serves them: keys, addresses, and the checks that keep other web pages out."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import ServerSettings
from .audience import Audience, declaration_of
from .envelope import error

ANONYMOUS = "anonymous"
_OWNER = web.RequestKey("owner", str)
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", ""}
_KEY_NEEDED = "An API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
_ADMINISTRATORS_ONLY = (
    "Only an administrator may do this: with API keys, an owner that the server's setting 'administrators' names; "
    "without, whoever is on this machine."
)


def owner_of(request: web.Request) -> str:
    """Return who submitted this request: the name of its API key, or the anonymous local user."""
    return request[_OWNER]


def may_administer(request: web.Request, settings: ServerSettings) -> bool:
    """Whether this request may change what runs here: an administrator's key; without any keys, this machine."""
    if settings.api_keys:
        return owner_of(request) in settings.administrators
    return is_loopback(request)


def is_loopback(request: web.Request) -> bool:
    """Whether the request comes from this machine."""
    return _is_loopback_address(request.remote or "")


def owner_middleware(settings: ServerSettings) -> Middleware:
    """Return the middleware that finds the owner of each request and turns strangers away."""
    local = settings.loopback_only

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _browser_refusal(request, local)
        if refusal is not None:
            return refusal
        owner = _owner(request, settings)
        request[_OWNER] = owner or ANONYMOUS
        refusal = _audience_refusal(request, settings, owner)
        return await handler(request) if refusal is None else refusal

    return check


def _audience_refusal(request: web.Request, settings: ServerSettings, owner: str | None) -> web.Response | None:
    """Refuse who is not among those that the route serves; what was not declared serves nobody."""
    found = declaration_of(request)
    if found is None:
        nothing_there = request.match_info.http_exception is not None
        return None if nothing_there else _refused(f"'{request.path}' is open to nobody.", 403)
    if found.audience is Audience.ANYBODY:
        return None
    if found.audience is Audience.MODULE:
        return _module_refusal(request)
    if owner is None:
        return _refused(_KEY_NEEDED, 401)
    if found.audience is Audience.ADMINISTRATOR and not may_administer(request, settings):
        return _refused(_ADMINISTRATORS_ONLY, 403)
    return None


def _module_refusal(request: web.Request) -> web.Response | None:
    """Let in what may be a module process: a program on this machine. Browsers say of themselves what they are."""
    if not is_loopback(request):
        return _refused("Only module processes on this machine may use this.", 403)
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        return _refused("No web page may use this: it is for module processes.", 403)
    return None


def _refused(text: str, status: int) -> web.Response:
    return error(text, status=status, code=status)


def _owner(request: web.Request, settings: ServerSettings) -> str | None:
    sent = _sent_key(request)
    for key, owner in settings.api_keys.items():
        if sent and hmac.compare_digest(key.encode(), sent.encode()):
            return owner
    if not settings.api_keys and (settings.loopback_only or is_loopback(request)):
        return ANONYMOUS
    return ANONYMOUS if _allowed_address(request, settings) else None


def _sent_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("X-API-Key", "").strip()


def _allowed_address(request: web.Request, settings: ServerSettings) -> bool:
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in settings.allowed_addresses)


def _browser_refusal(request: web.Request, loopback_only: bool) -> web.Response | None:
    """Refuse a foreign page's request (Origin) and a foreign name for this machine (Host)."""
    host = _name(f"//{request.host}")
    if loopback_only and host not in _LOOPBACK_NAMES:
        text = f"This server answers only to localhost, not to the name '{host}'."
        return error(text, status=403, code=403)
    origin = request.headers.get("Origin")
    if request.method in ("GET", "HEAD", "OPTIONS") or origin is None:
        return None
    if origin != "null" and _name(origin) in {host, *_LOOPBACK_NAMES}:
        return None
    return error(f"Requests from pages of '{origin}' are not accepted.", status=403, code=403)


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return "?"


def _is_loopback_address(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
