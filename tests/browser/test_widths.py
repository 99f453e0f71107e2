"""Whatever modules are called, answer, log or fail with: the explorer is never wider than its window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_explorer import Explorer, overflow
from tests.support.browser_modules import add_module
from tests.support.browser_session import LAPTOP, TALL_PHONE, visitor
from tests.support.server_process import ServerProcess

LONG = "Donaudampfschifffahrtsgesellschaft" * 12
ZOOMED = (640, 400)
"""1280×800 at 200 %."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("wide")
    (folder / "modules").mkdir()
    add_module(folder / "modules", "Plain")
    with ServerProcess(folder, folder / "modules") as running:
        running.wait_ready("Plain")
        running.post("/v1/log", entry=LONG, category=LONG, label=LONG, log_level="error")
        yield running


@pytest.fixture(params=[LAPTOP, TALL_PHONE, ZOOMED], ids=["laptop", "phone", "zoomed"])
def page(browser: Browser, server: ServerProcess, request: Any) -> Iterator[Page]:
    """Everything that can be named is named at length."""
    with visitor(browser, size=request.param) as guest:
        explorer = Explorer(guest.tab(), server.url)
        explorer.alter("module/list/status", lengthen_statuses)
        explorer.alter("module/list/all", lengthen_configs)
        explorer.alter("settings/Plain", lambda body: body["environmentVariables"].update({LONG.upper(): LONG}))
        yield explorer.page


def lengthen_statuses(body: dict[str, Any]) -> None:
    for status in body["statuses"]:
        status.update(name=LONG, version=LONG, queue=LONG, category=LONG, state="Failed", stateReason=f"{LONG}\n{LONG}")
        status["statusData"] = {"modelFile": LONG, LONG: {"deep": LONG}}


def lengthen_configs(body: dict[str, Any]) -> None:
    for module in body["modules"]:
        module["publishingInfo"].update(description=LONG, category=LONG, author=LONG)
        for route in module["routeMaps"]:
            route.update(name=LONG, description=LONG)
            for field in route["inputs"]:
                field.update(name=LONG, description=LONG, defaultValue=LONG)
        module["routeMaps"].append({**module["routeMaps"][0], "command": "list_models"})


def fits(page: Page) -> None:
    assert overflow(page) <= 0
    assert page.evaluate("() => document.documentElement.scrollWidth") == page.viewport_size["width"]  # type: ignore[index]


def open_tab(page: Page, server: ServerProcess, name: str) -> None:
    page.goto(f"{server.url}/explorer.html#Plain")
    page.get_by_role("tab", name=name).click()


@pytest.mark.parametrize("name", ["Routes", "Settings", "Details"])
def test_a_module_with_long_words_fits(page: Page, server: ServerProcess, name: str) -> None:
    open_tab(page, server, name)
    expect(page.get_by_role("tabpanel", name=name)).to_contain_text(LONG[:20], ignore_case=True)
    fits(page)


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "reply": LONG},
        {"success": True, "reply": "x " + LONG, "data": [[LONG] * 9], "deep": {LONG: {LONG: [1] * 500}}},
        {"success": True, "embedding": [0.123456789] * 700},
        {"success": True, "predictions": [{"label": LONG, "confidence": 0.5, "x_min": 1}] * 3},
        {"success": False, "error": LONG, "reply": LONG},
    ],
)
def test_a_long_answer_of_a_route_fits(page: Page, server: ServerProcess, answer: dict[str, Any]) -> None:
    text = json.dumps(answer)
    page.route("**/v1/plain/echo", lambda route: route.fulfill(content_type="application/json", body=text))
    open_tab(page, server, "Routes")
    form = page.locator('[data-route="plain/echo"]').first
    form.get_by_role("button", name="Send").click()
    form.locator(".answer details summary").click()
    fits(page)
    pre = form.locator(".answer pre")
    assert pre.evaluate("(pre) => pre.scrollWidth - pre.clientWidth") == 0  # nobody scrolls sideways to read JSON


def test_long_log_lines_and_commands_fit(page: Page, server: ServerProcess) -> None:
    def lengthen(body: dict[str, Any]) -> None:
        one = {"id": LONG, "module": LONG, "route": LONG, "command": LONG, "state": "failed", "error": LONG}
        times = {"created_at": 1.0, "started_at": None, "ended_at": 2.0, "position": None, "text_length": 5}
        body.update(total=1, commands=[{**one, **times}])

    page.goto(f"{server.url}/explorer.html#/log")
    page.locator(".log-lines li").filter(has_text=LONG).first.wait_for()
    fits(page)
    Explorer(page, server.url).alter("commands?*", lengthen)
    page.goto(f"{server.url}/explorer.html#/commands")
    page.locator(".command-list li").first.wait_for()
    fits(page)
