"""The pages of the explorer, served as they lie in their folder."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from ..http.audience import Audience, declare, declare_folder

_PAGES = ("explorer.html", "chat.html")
_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
    "require-trusted-types-for": "'script'",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # after an upgrade no page may mix old and new files
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def add_pages(app: web.Application, folder: Path) -> None:
    """Serve ``/``, the pages that exist, and ``/assets``."""

    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound("/explorer.html")

    def named(name: str) -> Handler:
        async def answer(request: web.Request) -> web.FileResponse:
            path = folder / name
            if not path.is_file():
                raise web.HTTPNotFound
            return web.FileResponse(path)

        return answer

    async def harden(request: web.Request, response: web.StreamResponse) -> None:
        """Every file of ours says what it may do; an unchanged one still costs only a 304."""
        if isinstance(response, web.FileResponse):
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)

    app.on_response_prepare.append(harden)
    declare(app, "GET", "/", home, Audience.ANYBODY)
    for name in _PAGES:
        declare(app, "GET", f"/{name}", named(name), Audience.ANYBODY)
    declare_folder(app, "/assets", folder / "assets", Audience.ANYBODY)
