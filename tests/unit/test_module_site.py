"""The ``sitecustomize`` of module processes: whose requests carry the secret of the launch, and where to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.hosting.process.launch_environment import SITE_FOLDER

WAYS = {
    "urllib": "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()",
    "http.client": """
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.hostname, url.port)
connection.request("POST", url.path, b"body", {"X-Own": "1"})
where = connection.getresponse().getheader("Location")
if where:
    url = urllib.parse.urlsplit(where)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("GET", url.path)
    connection.getresponse()
""",
    "aiohttp": """
import asyncio, sys, aiohttp
async def call():
    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as answer:
        await answer.read()
asyncio.run(call())
""",
}


class Listener:
    """Notes the secret of each request; ``/away`` sends on to another one."""

    def __init__(self) -> None:
        self.secrets: list[str | None] = []
        self.away = ""
        app = web.Application()
        app.router.add_route("*", "/{path}", self._note)
        self.server = TestServer(app)

    async def _note(self, request: web.Request) -> web.Response:
        self.secrets.append(request.headers.get("X-Module-Secret"))
        headers = {"Location": self.away} if request.path == "/away" else {}
        return web.Response(status=302 if headers else 200, headers=headers)


@pytest.fixture
async def ours_and_another() -> AsyncIterator[tuple[Listener, Listener]]:
    ours, another = Listener(), Listener()
    await ours.server.start_server()
    await another.server.start_server()
    ours.away = f"http://127.0.0.1:{another.server.port}/there"
    yield ours, another
    await ours.server.close()
    await another.server.close()


async def run(code: str, *arguments: str, port: object = 0, path: str = "") -> str:
    """Run Python as a module process of the server at this port; return what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SITE_FOLDER), path))),
        "CPAI_PORT": str(port),
        "MILLRACE_CHANNEL_SECRET": "s3cret",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("way", WAYS)
async def test_the_secret_goes_to_the_server_and_nowhere_else(
    ours_and_another: tuple[Listener, Listener], way: str
) -> None:
    ours, another = ours_and_another
    port = ours.server.port
    for url in (f"http://localhost:{port}/a", f"http://127.0.0.1:{port}/b", f"http://127.0.0.1:{port}/away", ours.away):
        assert not await run(WAYS[way], url, port=port)
    assert ours.secrets == ["s3cret", "s3cret", "s3cret"]
    assert another.secrets == [None, None], "a redirect to it, and a request to it"


async def test_another_sitecustomize_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.theirs = __file__\n")
    shown = await run(
        "import sys, sitecustomize; print(sys.theirs); print(sitecustomize.__file__)", port=1, path=str(tmp_path)
    )
    assert shown.split() == [str(tmp_path / "sitecustomize.py")] * 2


async def test_nothing_is_loaded_that_the_module_does_not_load() -> None:
    assert (await run("import sys; print('http.client' in sys.modules, 'aiohttp' in sys.modules)")).split() == [
        "False",
        "False",
    ]
