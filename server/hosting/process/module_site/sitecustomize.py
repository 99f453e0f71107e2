"""In every module process: its requests to the server carry the secret of its launch, and nobody else's do.

Python imports this by itself, because this folder comes first in ``PYTHONPATH``. The header is put on each request when
its destination is known, so that neither another host nor a redirect to one ever sees it. It is for whatever Python a
module brings (3.7 and later), with the standard library alone.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from typing import Any

SECRET_HEADER = "X-Module-Secret"
COMMAND_HEADER = "X-Module-Command"
_SECRET = os.environ.get("MILLRACE_CHANNEL_SECRET", "")
_PORT = os.environ.get("CPAI_PORT", "")
_NAMES = ("localhost", "127.0.0.1", "::1")


def _proof(host: Any, port: Any) -> list[tuple[str, str]]:
    """The headers of a request to this address: none, unless it is the server's."""
    if str(port) != _PORT or str(host).lower() not in _NAMES:
        return []
    running = getattr(sys.modules.get("codeproject_ai_sdk.current_command"), "command_id", None)
    command_id = running() if running is not None else ""
    return [(SECRET_HEADER, _SECRET)] + ([(COMMAND_HEADER, command_id)] if command_id else [])


def _patch_http_client(module: Any) -> None:
    """For urllib, urllib3, requests and whatever else is built on ``http.client``."""
    end = module.HTTPConnection.endheaders

    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name, value in _proof(self.host, self.port):
            self.putheader(name, value)
        return end(self, *args, **kwargs)

    module.HTTPConnection.endheaders = endheaders


def _patch_aiohttp(module: Any) -> None:
    """A redirect makes a new ``ClientRequest``; one that goes through a proxy is sent to the proxy."""
    begin = module.ClientRequest.__init__

    def init(self: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, method, url, *args, **kwargs)
        if getattr(self, "proxy", None) is None:
            self.headers.update(_proof(url.host, url.port))

    module.ClientRequest.__init__ = init


class _PatchWhenLoaded:
    """Finds the modules that make requests, and patches each right after it was loaded: none is loaded for that."""

    def __init__(self) -> None:
        self._patches = {"http.client": _patch_http_client, "aiohttp.client_reqrep": _patch_aiohttp}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        patch = self._patches.get(name)
        spec = PathFinder.find_spec(name, path) if patch is not None else None
        if patch is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            try:
                patch(module)
            except Exception as error:  # the module must not fail because of this; the server then asks who it is
                sys.stderr.write("Requests to the server carry no secret: %r\n" % (error,))  # noqa: UP031

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _import_the_next_one() -> None:
    """The module's own environment, or the system, may have a ``sitecustomize`` too, which this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)


if _SECRET and _PORT:
    sys.meta_path.insert(0, _PatchWhenLoaded())
if __name__ == "sitecustomize":
    _import_the_next_one()
