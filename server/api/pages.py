"""The pages of the explorer, served as they lie in their folder."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from ..http.audience import Audience, declare, declare_folder

_PAGES = ("explorer.html", "chat.html")


def add_pages(app: web.Application, folder: Path) -> None:
    """Serve ``/``, the pages that exist, and ``/assets``."""

    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound("/explorer.html")

    def page(path: Path) -> web.FileResponse:
        return web.FileResponse(path, headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})

    def named(name: str) -> Handler:
        async def answer(request: web.Request) -> web.FileResponse:
            path = folder / name
            if not path.is_file():
                raise web.HTTPNotFound
            return page(path)

        return answer

    async def ask_again(request: web.Request, response: web.StreamResponse) -> None:
        """After an upgrade no page may mix old and new files; an unchanged one still costs only a 304."""
        if request.path.startswith("/assets"):
            response.headers.setdefault("Cache-Control", "no-cache")

    app.on_response_prepare.append(ask_again)
    declare(app, "GET", "/", home, Audience.ANYBODY)
    for name in _PAGES:
        declare(app, "GET", f"/{name}", named(name), Audience.ANYBODY)
    declare_folder(app, "/assets", folder / "assets", Audience.ANYBODY)
