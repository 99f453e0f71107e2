"""Every registered route × caller × spelling of its path, compared with the tables in docs/security.md."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from server.app import App
from server.config import ServerSettings
from server.http.application import new_application
from server.http.audience import Audience, Declaration, declare, declared
from server.http.guard import GUARD
from server.log_book import LogBook
from tests.support.api_server import Client
from tests.support.documents import text_of

KEYS = {"api_keys": {"key-a": "ann", "key-b": "bob", "key-r": "root"}, "administrators": ["root"]}
HERE = "127.0.0.1"
FOREIGN = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
CALLERS: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {
    "without a key, on this machine": (KEYS, {}, True),
    "with a wrong key, on this machine": (KEYS, {"X-API-Key": "wrong"}, True),
    "an owner, on this machine": (KEYS, {"X-API-Key": "key-a"}, True),
    "another owner, on this machine": (KEYS, {"Authorization": "Bearer key-b"}, True),
    "an administrator, on this machine": (KEYS, {"X-API-Key": "key-r"}, True),
    "a module process with its secret": (KEYS, {"X-Module-Secret": "s"}, True),
    "without a key, from elsewhere": (KEYS, {}, False),
    "an owner, from elsewhere": (KEYS, {"X-API-Key": "key-a"}, False),
    "an administrator, from elsewhere": (KEYS, {"X-API-Key": "key-r"}, False),
    "without a key, from an allowed address": ({**KEYS, "allowed_addresses": ["0.0.0.0/0"]}, {}, False),
    "where there are no keys: on this machine": ({}, {}, True),
    "where there are no keys: from elsewhere": ({}, {}, False),
}
"""The settings of the server, the headers of the caller, and whether it asks from this machine."""
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda path: path,
    "upper case": lambda path: path.upper(),
    "doubled slashes": lambda path: path.replace("/", "//"),
    "trailing slash": lambda path: f"{path}/",
    "percent-encoded": lambda path: re.sub(r"[a-z]", lambda letter: f"%{ord(letter[0]):02X}", path),
    "encoded slashes": lambda path: "/" + path[1:].replace("/", "%2f"),
    "dot segments": lambda path: f"/assets/..{path.replace('/v1', '/./v1/%2E')}",
}


def tables() -> list[dict[str, list[str]]]:
    """The tables of the document: the first cell of each row → the others."""
    found: list[dict[str, list[str]]] = [{}]
    for line in text_of("docs/security.md").splitlines():
        if not line.startswith("|"):
            found.append({})
        elif not line.startswith("|--"):
            first, *rest = [cell.strip() for cell in line.strip("|").split("|")]
            found[-1][first] = rest
    return [table for table in found if table]


CALLERS_TABLE, ROUTES_TABLE = tables()[:2]


@pytest.fixture
def routes(tmp_path: Path) -> list[Declaration]:
    """What the server registers."""
    return declared(App(ServerSettings(data_dir=tmp_path)).web)


def in_words(routes: list[Declaration]) -> dict[str, list[str]]:
    """The routes as the document has them."""
    rows: dict[str, list[str]] = {}
    for route in routes:
        changes = "yes" if route.effects else "no"
        name = f"`{route.path}`"
        if name in rows and rows[name][1:] != [route.audience.value, changes]:
            name = f"`{route.path}` ({route.method})"
        if name in rows:
            rows[name][0] += f", {route.method}"
        else:
            rows[name] = [route.method, route.audience.value, changes]
    return rows


def test_the_document_names_every_route_and_whom_it_serves(routes: list[Declaration]) -> None:
    header = {"path": ["methods", "whom", "changes something"]}
    assert {**header, **in_words(routes)} == ROUTES_TABLE


def test_the_document_names_every_caller() -> None:
    assert [*CALLERS_TABLE] == ["caller", *CALLERS]
    assert CALLERS_TABLE["caller"] == [audience.value for audience in Audience]


async def _let_in(request: web.Request) -> web.Response:
    return web.Response(headers={"X-Let-In": "yes"})


def probe(tmp_path: Path, routes: list[Declaration], **settings: Any) -> web.Application:
    """An application with the routes of the server, whose handlers only say that they were reached."""
    app = new_application(ServerSettings(data_dir=tmp_path, host="0.0.0.0", **settings), LogBook())
    app[GUARD].process_owner = lambda request: "ann" if request.headers.get("X-Module-Secret") == "s" else None
    for route in routes:
        if route.method != "HEAD":
            declare(
                app, route.method, route.path, _let_in, route.audience, effects=route.effects, form_key=route.form_key
            )
    return app


def elsewhere() -> str:
    """An address of this machine that is not loopback: whoever asks it comes from it."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family is socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    pytest.skip("this machine has no address but loopback")


async def outcome(client: Client, method: str, path: str, headers: dict[str, str]) -> str:
    address = URL(f"http://{client.host}:{client.port}{path}", encoded=True)
    async with client.session.request(method, address, headers=headers) as answer:
        return "let in" if "X-Let-In" in answer.headers else str(answer.status)


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_serves_its_audience_in_every_spelling(
    tmp_path: Path, routes: list[Declaration], caller: str
) -> None:
    settings, headers, here = CALLERS[caller]
    told = dict(zip(CALLERS_TABLE["caller"], CALLERS_TABLE[caller], strict=True))
    server = TestServer(probe(tmp_path, routes, **settings), host=HERE if here else elsewhere())
    wrong: list[str] = []
    async with TestClient(server) as client:
        for route in routes:
            path = re.sub(r"{\w+(:[^}]*)?}", "xyz", route.path)
            cell = told[route.audience.value]
            expected = cell if cell.isdigit() else "let in"
            spellings = {"as it is": str} if route.method == "HEAD" else SPELLINGS  # a HEAD is found as its GET is
            for name, spelled in spellings.items():
                got = await outcome(client, route.method, spelled(path), headers)
                if got != expected and not (got == "429" and "wrong" in caller):
                    wrong.append(f"{route.method} {spelled(path)} ({name}): {got}, not {expected}")
                if not route.effects:
                    continue
                by_page = await outcome(client, route.method, spelled(path), {**headers, **FOREIGN})
                if by_page == "let in":
                    wrong.append(f"{route.method} {spelled(path)} ({name}): let in from a foreign page")
    assert wrong == []


async def test_what_is_encoded_twice_names_nothing_of_the_server(tmp_path: Path, routes: list[Declaration]) -> None:
    async with TestClient(TestServer(probe(tmp_path, routes, **KEYS))) as client:
        for route in routes:
            path = SPELLINGS["percent-encoded"](route.path).replace("%", "%25")
            if path != "/":
                assert await outcome(client, route.method, path, {}) in ("401", "404", "405"), path
