"""The document of a module's page: nothing in its parts ends early, its rights, and who can give it others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server.api.module_page import SANDBOX, ModulePages, document
from server.app import App
from server.config import ROOT, ServerSettings
from server.hosting.catalogue import ModuleConfig, module_config
from server.hosting.settings.explore_page import ExplorePage
from server.hosting.settings.instance import read_settings
from server.hosting.settings.module_settings import ModuleSettings, RouteMap, typed_settings
from server.hosting.settings.platform_info import PlatformInfo
from server.http.application import new_application
from server.http.audience import declared
from server.log_book import LogBook

TEMPLATE = ROOT / "explorer" / "module-page.html"


def config(page: ExplorePage, name: str = "Mine", frame: str | None = None) -> ModuleConfig:
    routes = [RouteMap(route="text/mine", command="mine")]
    return module_config(ModuleSettings(module_id="Mine", name=name, route_maps=routes, explorer_frame=frame), page)


def test_no_part_of_a_page_ends_its_element() -> None:
    page = ExplorePage(
        "<p>{{css}}</script><!--", 'a::after { content: "</style>" }', 'let a = "</SCRIPT><!-- {{page}}";'
    )
    text = document(TEMPLATE.read_text("utf-8"), config(page, name="</title><script>1</script>"))
    own = re.findall(r"<script(?: [^>]*)?>(.*?)</script>", text, re.DOTALL | re.IGNORECASE)
    assert own[-1] == 'let a = "<\\/SCRIPT><\\!-- {{page}}";'
    facts = json.loads(next(one for one in own if one.startswith("{")))
    assert (facts["html"], facts["routes"], facts["usesOptions"]) == (page.html, {"mine": "text/mine"}, False)
    assert r'content: "<\/style>"' in text
    assert "<title>&lt;/title&gt;" in text


def test_no_module_can_call_its_route_like_one_of_the_servers(tmp_path: Path) -> None:
    script = (ROOT / "explorer" / "assets" / "page-access.js").read_text("utf-8")
    (reserved,) = re.findall(r"RESERVED = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    app = App(ServerSettings(data_dir=tmp_path)).web
    own = {one.path.split("/")[2] for one in declared(app) if one.path.startswith("/v1/") and "{" not in one.path[:5]}
    assert own - set(re.findall(r'"(\w+)"', reserved)) == set()


@pytest.fixture
def pages() -> tuple[ModulePages, dict[str, ModuleConfig]]:
    """The route, and the modules that it knows."""
    known: dict[str, ModuleConfig] = {"empty": config(ExplorePage())}
    return ModulePages(TEMPLATE, lambda module_id: known.get(module_id.lower())), known


@pytest.mark.parametrize(("frame", "sandboxed"), [(None, True), ("other", True), ("Trusted", False)])
async def test_a_page_has_a_policy_of_its_own(
    pages: tuple[ModulePages, dict[str, ModuleConfig]], tmp_path: Path, frame: str | None, sandboxed: bool
) -> None:
    routes, known = pages
    app = new_application(ServerSettings(data_dir=tmp_path), LogBook())
    known["mine"] = config(ExplorePage("<p>", "", "1"), frame=frame)
    routes.add_to(app)
    async with TestClient[web.Request, web.Application](TestServer(app)) as client:
        answer = await client.get("/pages/Mine")
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert (f"sandbox {SANDBOX}" in policy) == sandboxed
        assert ("connect-src data: blob:" in policy) == sandboxed
        assert {"default-src 'none'", "frame-ancestors 'self'", "form-action 'none'"} < set(policy)
        assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ("frame/requests.js" in await answer.text()) == sandboxed
        assert [(await client.get(f"/pages/{name}")).status for name in ("empty", "none", "..%2fexplorer.html")] == [
            404
        ] * 3


@pytest.mark.parametrize(
    ("own", "override", "users", "trusted"),
    [
        ({}, {}, {}, False),
        ({"ExplorerFrame": "trusted"}, {"explorerframe": "trusted"}, {}, False),
        ({"ExplorerFrame": "trusted"}, {}, {"ExplorerFrame": "plain"}, False),
        ({}, {}, {"explorerFrame": "trusted"}, True),
    ],
)
def test_only_the_user_gives_a_page_the_explorers_rights(
    tmp_path: Path, own: dict[str, str], override: dict[str, str], users: dict[str, str], trusted: bool
) -> None:
    folder = tmp_path / "Mine"
    folder.mkdir()
    machine = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
    launch = {"FilePath": "a.py", "Runtime": "python"}
    routes = [{"Name": "A", "Route": "text/a", "Command": "a"}]
    base = {"Name": "Mine", "Version": "1.0.0", "LaunchSettings": launch, "RouteMaps": routes}
    for path, values in (
        (folder / "modulesettings.json", {**base, **own}),
        (folder / f"modulesettings.{machine.os}.json", override),
        (tmp_path / "modulesettings.json", users),
    ):
        path.write_text(json.dumps({"Modules": {"Mine": values}}), encoding="utf-8")
    raw = read_settings(folder, None, machine, tmp_path / "modulesettings.json", {})
    assert typed_settings(raw, folder).trusted_page == trusted
