"""The pages of the explorer, served as they lie in their folder."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

_PAGES = ("explorer.html", "chat.html")


def add_pages(app: web.Application, folder: Path) -> None:
    """Serve ``/``, the pages that exist, and ``/assets``."""

    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound("/explorer.html")

    def page(path: Path) -> web.FileResponse:
        return web.FileResponse(path, headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})

    async def named(request: web.Request) -> web.FileResponse:
        path = folder / request.path.lstrip("/")
        if not path.is_file():
            raise web.HTTPNotFound
        return page(path)

    async def ask_again(request: web.Request, response: web.StreamResponse) -> None:
        """After an upgrade no page may mix old and new files; an unchanged one still costs only a 304."""
        if request.path.startswith("/assets"):
            response.headers.setdefault("Cache-Control", "no-cache")

    app.on_response_prepare.append(ask_again)
    app.router.add_get("/", home)
    for name in _PAGES:
        app.router.add_get(f"/{name}", named)
    app.router.add_static("/assets", folder / "assets")
