"""A model hub on this machine: as much of Hugging Face's HTTP interface as huggingface_hub needs to download."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from types import TracebackType

from aiohttp import web
from aiohttp.typedefs import Handler

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubFile:
    """A file of a repository. ``announced`` replaces the true SHA-256 in what the hub says about the file."""

    content: bytes
    announced: str = ""

    @property
    def sha256(self) -> str:
        return self.announced or hashlib.sha256(self.content).hexdigest()


@dataclass
class HubStandIn:
    """Serves ``repositories``; remembers the downloads it was asked for.

    ``cut_after``: bytes after which the connection of the next downloads is closed, one entry for each.
    ``hold_after``: bytes after which a download sends nothing more until ``go_on`` is set; ``held`` is then set, and
    ``asked_again`` when somebody else comes meanwhile.
    ``pages``: how many of the next downloads get a web page instead, as a login page sends it; ``portal``: whatever is
    asked for is answered with one.
    """

    repositories: dict[str, dict[str, HubFile]]
    cut_after: list[int] = field(default_factory=list)
    hold_after: int | None = None
    pages: int = 0
    portal: bool = False
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked_again: asyncio.Event = field(default_factory=asyncio.Event)
    _leaving: bool = False

    async def __aenter__(self) -> HubStandIn:
        application = web.Application(middlewares=[self._login_page])
        application.router.add_get("/api/models/{owner}/{name}", self._info)
        application.router.add_get("/api/models/{owner}/{name}/tree/{revision}", self._tree)
        application.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        self.go_on.set()
        await self._runner.cleanup()

    @web.middleware
    async def _login_page(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        download = request.method == "GET" and "/resolve/" in request.path
        if not self.portal and not (download and self.pages):
            return await handler(request)
        self.pages -= bool(download and self.pages)
        return web.Response(text="<!DOCTYPE html><html><body>Please log in</body></html>", content_type="text/html")

    def _files(self, request: web.Request) -> dict[str, HubFile] | None:
        return self.repositories.get(f"{request.match_info['owner']}/{request.match_info['name']}")

    async def _info(self, request: web.Request) -> web.Response:
        if self.held.is_set():
            self.asked_again.set()
        files = self._files(request)
        if files is None:
            return _not_found("RepoNotFound", "Repository not found")
        siblings = [{"rfilename": name, **_blob(file)} for name, file in files.items()]
        identity = f"{request.match_info['owner']}/{request.match_info['name']}"
        return web.json_response({"id": identity, "modelId": identity, "sha": COMMIT, "siblings": siblings})

    async def _tree(self, request: web.Request) -> web.Response:
        files = self._files(request)
        if files is None:
            return _not_found("RepoNotFound", "Repository not found")
        return web.json_response(
            [{"type": "file", "path": name, "oid": file.sha256[:40], **_blob(file)} for name, file in files.items()]
        )

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        files = self._files(request)
        if files is None:
            return _not_found("RepoNotFound", "Repository not found")
        file = files.get(request.match_info["path"])
        if file is None:
            return _not_found("EntryNotFound", "Entry not found")
        if request.method == "GET":
            self.ranges.append(request.headers.get("Range"))
        return await self._send(request, file)

    async def _send(self, request: web.Request, file: HubFile) -> web.StreamResponse:
        start = _first_byte(request.headers.get("Range"))
        body = file.content[start:]
        response = web.StreamResponse(status=206 if start else 200)
        response.headers.update(
            {"ETag": f'"{file.sha256}"', "X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{file.sha256}"',
             "X-Linked-Size": str(len(file.content)), "Accept-Ranges": "bytes"}
        )  # fmt: skip
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(file.content) - 1}/{len(file.content)}"
        response.content_length = len(body)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if self.cut_after:
            await response.write(body[: self.cut_after.pop(0)])
            if request.transport is not None:
                request.transport.abort()
        elif self.hold_after is not None:
            await response.write(body[: self.hold_after])
            self.held.set()
            held_at = self.hold_after
            await self.go_on.wait()
            if not self._leaving:
                await response.write(body[held_at:])
        else:
            await response.write(body)
        return response


def _blob(file: HubFile) -> dict[str, object]:
    size = len(file.content)
    lfs = {"sha256": file.sha256, "oid": file.sha256, "size": size, "pointerSize": 130}
    return {"size": size, "blobId": file.sha256[:40], "lfs": lfs}


def _first_byte(header: str | None) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", header or "")
    return int(match[1]) if match else 0


def _not_found(code: str, message: str) -> web.Response:
    return web.json_response({"error": message}, status=404, headers={"X-Error-Code": code, "X-Error-Message": message})
