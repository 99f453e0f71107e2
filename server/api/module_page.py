"""The page of a module as a document of its own: with an address, without the rights of the server's own pages."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from ..hosting.catalogue import ModuleConfig
from ..http.audience import Audience, declare
from ..http.envelope import error

SANDBOX = "allow-scripts allow-forms allow-modals allow-downloads allow-popups"
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "worker-src": "blob:",
    "frame-src": "data: blob:",
    "base-uri": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'self'",
}
_OWN_RIGHTS = {"connect-src": "data: blob:", "sandbox": SANDBOX}
"""What takes a page the origin of the server, and every connection but the one with the explorer."""
_BRIDGE = ("storage", "requests", "event-source", "xml-http-request", "files")
_USES_OPTIONS = re.compile(r"\b(submitRequest|serviceTimeoutSecTxt|serviceUrl)\b")


class ModulePages:
    """``GET /pages/{module_id}``."""

    def __init__(self, template: Path, config_of: Callable[[str], ModuleConfig | None]) -> None:
        self._template = template.read_text("utf-8")
        self._config_of = config_of

    def add_to(self, app: web.Application) -> None:
        """Register the route."""
        declare(app, "GET", "/pages/{module_id}", self._page, Audience.OWNER)

    async def _page(self, request: web.Request) -> web.Response:
        module_id = request.match_info["module_id"]
        config = self._config_of(module_id)
        page = None if config is None else config.ui_elements.explorer_ui
        if config is None or page is None or not (page.html and page.script):
            return error(f"There is no page of a module '{module_id}'.", status=404, code=404)
        policy = _POLICY | ({"connect-src": "'self' data: blob:"} if page.trusted else _OWN_RIGHTS)
        return web.Response(
            text=document(self._template, config),
            content_type="text/html",
            headers={
                "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )


def document(template: str, config: ModuleConfig) -> str:
    """Return the HTML text of a module's page. Nothing in its parts can end the element that it is put into."""
    page = config.ui_elements.explorer_ui
    facts = {
        "id": config.module_id,
        "queue": config.launch_settings.queue,
        "routes": {route.command: route.route for route in config.route_maps},
        "html": page.html,
        "usesOptions": bool(_USES_OPTIONS.search(page.html + page.script)),
    }
    scripts = () if page.trusted else _BRIDGE
    parts = {
        "title": html.escape(config.name),
        "css": re.sub("</(?=style)", r"<\\/", page.css, flags=re.IGNORECASE),
        "script": re.sub("</(?=script)", r"<\\/", page.script, flags=re.IGNORECASE).replace("<!--", "<\\!--"),
        "bridge": "\n  ".join(f'<script src="assets/frame/{name}.js"></script>' for name in scripts),
        "page": msgspec.json.encode(facts).decode().replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
