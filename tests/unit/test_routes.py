"""The table of paths: every spelling finds the same route, and a route that was not declared serves nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from server.config import ServerSettings
from server.http.application import add_module_routes, new_application, own_paths
from server.http.audience import Audience, declare, declared
from server.http.routes import normal_path
from server.log_book import LogBook
from tests.support.api_server import Client


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/v1/a", "/v1/a"),
        ("//v1///a//", "/v1/a"),
        ("/v1/./a/../b/.", "/v1/b"),
        ("/../../v1/B", "/v1/B"),
        ("", "/"),
        ("*", "/*"),
    ],
)
def test_a_path_has_one_normal_form(path: str, normal: str) -> None:
    assert normal_path(path) == normal


async def _says_itself(request: web.Request) -> web.Response:
    found = request.match_info
    assert found.route.resource is not None
    return web.json_response([found.route.resource.canonical, dict(found)])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    app = new_application(ServerSettings(data_dir=tmp_path), LogBook())
    declare(app, "GET", "/v1/things", _says_itself, Audience.OWNER)
    declare(app, "GET", "/v1/things/{name}", _says_itself, Audience.OWNER)
    app.router.add_get("/undeclared", _says_itself)
    app.router.add_get("/v1/undeclared", _says_itself)
    add_module_routes(app, _says_itself)
    async with TestClient(TestServer(app)) as started:
        yield started


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/things", ["/v1/things", {}]),
        ("/V1//Things/", ["/v1/things", {}]),
        ("/%76%31/%54hings", ["/v1/things", {}]),
        ("/v1%2fthings", ["/v1/things", {}]),
        ("/x/%2e%2E/v1/./things", ["/v1/things", {}]),
        ("/v1/things/Large%20One", ["/v1/things/{name}", {"name": "Large One"}]),
        ("/V1/THINGS/Large", ["/v1/things/{name}", {"name": "Large"}]),
        ("/v1/%2574hings", ["/v1/{module_route}", {"module_route": "%74hings"}]),
        ("/V1/Vision//Custom/My-Model/", ["/v1/{module_route}", {"module_route": "Vision/Custom/My-Model"}]),
    ],
)
async def test_every_spelling_finds_the_same_route(client: Client, path: str, found: list[object]) -> None:
    async with client.get(URL(path, encoded=True)) as answer:
        assert (answer.status, await answer.json()) == (200, found)


@pytest.mark.parametrize("path", ["/undeclared", "/v1/undeclared"])
async def test_a_route_that_was_not_declared_serves_nobody(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert (answer.status, "open to nobody" in await answer.text()) == (403, True)


async def test_a_wrong_method_is_told_which_are_possible(client: Client) -> None:
    async with client.put("/V1/things/") as answer:
        assert (answer.status, answer.headers.get("Allow")) == (405, None)
        assert "use GET,HEAD,POST" in (await answer.json())["error"]


def test_a_get_is_a_head_too_unless_it_changes_something(tmp_path: Path) -> None:
    app = new_application(ServerSettings(data_dir=tmp_path), LogBook())
    declare(app, "GET", "/look", _says_itself, Audience.OWNER)
    declare(app, "GET", "/take", _says_itself, Audience.MODULE, effects=True)
    declare(app, "POST", "/V1/Give/", _says_itself, Audience.OWNER)
    known = [(one.method, one.path, one.effects) for one in declared(app)]
    assert known == [
        ("GET", "/look", False),
        ("HEAD", "/look", False),
        ("GET", "/take", True),
        ("POST", "/V1/Give/", True),
    ]
    add_module_routes(app, _says_itself)
    own = own_paths(app)
    assert (own("give"), own("GIVE"), own("text/chat")) == (True, True, False)
