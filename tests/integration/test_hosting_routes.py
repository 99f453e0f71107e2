"""Modules that name the same routes, routes that are written in other ways, and paths that no route takes."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp

from server.app import App
from tests.support.hosting_modules import eventually, reach, running_app, status_of, write_module

CHAT = [{"Route": "text/chat", "Command": "go"}]


async def call(app: App, path: str) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{app.host._port}/v1/{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data={"a": "b"}) as answer:
        return answer.status, await answer.json()


async def module_at(app: App, path: str) -> str:
    """The module that answers a path with success."""
    status, answer = await call(app, path)
    return str(answer["moduleId"]) if status == 200 and answer["success"] else ""


def routed_to(app: App, path: str) -> str:
    found = app.routes.match(path)
    return found.route.module_id if found else ""


async def test_the_first_keeps_its_route_and_the_second_says_so_over_restarts_too(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    write_module(modules, "Chat", RouteMaps=CHAT)
    async with running_app(tmp_path) as app:
        await reach(app, "Chat", "Ready")
        write_module(modules, "Aaa", RouteMaps=[*CHAT, {"Route": "text/aaa", "Command": "go"}])
        status = await reach(app, "Aaa", "Ready")
        assert "'text/chat'" in (status.state_reason or "")
        assert "Chat, which had it first" in (status.state_reason or "")
        assert "another name" in status.notes[0]
        assert await module_at(app, "text/chat") == "Chat"
        assert await module_at(app, "text/aaa") == "Aaa"
        said = [entry.entry for entry in app.log.after(0, 1000) if "which had it first" in entry.entry]
        assert len(said) == 1
    async with running_app(tmp_path) as app:
        await reach(app, "Aaa", "Ready")
        chat = await reach(app, "Chat", "Ready")
        assert chat.state_reason is None
        assert await module_at(app, "text/chat") == "Chat"
        await asyncio.to_thread(shutil.rmtree, modules / "Chat")
        await eventually(lambda: routed_to(app, "text/chat") == "Aaa")
        assert await module_at(app, "text/chat") == "Aaa"
        aaa = status_of(app, "Aaa")
        assert aaa is not None
        assert (aaa.state_reason, aaa.notes) == (None, [])


async def test_what_comes_with_the_server_is_first_where_nobody_was(tmp_path: Path) -> None:
    for module_id in ("Aaa", "LlamaChat"):
        write_module(tmp_path / "modules", module_id, RouteMaps=CHAT)
    async with running_app(tmp_path) as app:
        await reach(app, "LlamaChat", "Ready")
        assert await module_at(app, "text/chat") == "LlamaChat"


async def test_a_module_that_is_switched_off_lends_its_route(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Chat", RouteMaps=CHAT)
    async with running_app(tmp_path) as app:
        await reach(app, "Chat", "Ready")
        write_module(tmp_path / "modules", "Other", RouteMaps=CHAT)
        await reach(app, "Other", "Ready")
        await app.host.change_settings({"Chat": {"AutoStart": "false"}})
        await reach(app, "Chat", "Stopped")
        assert await module_at(app, "text/chat") == "Other"
        await app.host.change_settings({"Chat": {"AutoStart": "true"}})
        await reach(app, "Chat", "Ready")
        assert await module_at(app, "text/chat") == "Chat"


async def test_broken_settings_do_not_lose_a_route(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Chat", RouteMaps=CHAT)
    good = (folder / "modulesettings.json").read_text()
    async with running_app(tmp_path) as app:
        await reach(app, "Chat", "Ready")
    (folder / "modulesettings.json").write_text(good[:-5])
    write_module(tmp_path / "modules", "Aaa", RouteMaps=CHAT)
    async with running_app(tmp_path) as app:
        await reach(app, "Aaa", "Ready")
        assert await module_at(app, "text/chat") == "Aaa"
        (folder / "modulesettings.json").write_text(good)
        await reach(app, "Chat", "Ready")
        assert await module_at(app, "text/chat") == "Chat"


async def test_what_people_write_around_a_route_does_not_matter(tmp_path: Path) -> None:
    written = ("/v1/t/x", "/t/y/", "V1/%MODULE_ID%/z", "module/settings")
    routes = [{"Route": route, "Command": "go"} for route in written]
    write_module(tmp_path / "modules", "Echo", RouteMaps=routes)
    async with running_app(tmp_path) as app:
        assert (await reach(app, "Echo", "Ready")).state_reason is None
        for path in ("t/x", "T/Y", "echo/z/", "module/settings"):
            assert await module_at(app, path) == "Echo", path


async def test_a_route_of_the_server_itself_is_told(tmp_path: Path) -> None:
    routes = [{"Route": route, "Command": "go"} for route in ("log", "settings/mine", "t/x")]
    write_module(tmp_path / "modules", "Echo", RouteMaps=routes)
    async with running_app(tmp_path) as app:
        status = await reach(app, "Echo", "Ready")
        assert "'log' and 'settings/mine' is one of the server itself" in (status.state_reason or "")
        assert await module_at(app, "t/x") == "Echo"


async def test_a_path_goes_on_only_where_the_route_says_so(tmp_path: Path) -> None:
    routes = [
        {"Route": "test/plain", "Command": "go"},
        {"Route": "test/open", "Command": "go", "Segments": True},
        {"Route": "vision/custom", "Command": "go"},
    ]
    write_module(tmp_path / "modules", "Echo", RouteMaps=routes)
    other = {"Modules": {"Loud": {"InstanceOf": "Echo"}}}
    (tmp_path / "modules" / "Loud").mkdir()
    (tmp_path / "modules" / "Loud" / "modulesettings.json").write_text(json.dumps(other))
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        await reach(app, "Loud", "Ready")
        assert await module_at(app, "test/plain/loud") == "Loud"
        assert await module_at(app, "test/open/a/b") == "Echo"
        assert await module_at(app, "vision/custom/my-model") == "Echo"  # as CodeProject.AI's clients call it
        await asyncio.to_thread(shutil.rmtree, tmp_path / "modules" / "Loud")
        await eventually(lambda: routed_to(app, "test/plain/loud") == "")
        for path in ("test/plain/loud", "test/plain/typo"):
            status, answer = await call(app, path)
            assert (status, answer["success"]) == (404, False)
            assert "'/v1/test/plain' of the module Echo, which takes nothing after it" in answer["error"]
