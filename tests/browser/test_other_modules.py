"""Modules other than LlamaChat: pages that would clash, modules without a page, broken ones, dropped-in ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.support.browser_modules import add_module
from tests.support.browser_session import Visitor
from tests.support.server_process import ServerProcess

HOSTILE = "<img src=x onerror='top.attacked = true'>"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "modules"
    folder.mkdir()
    add_module(folder, "Alpha", page=True)
    add_module(folder, "Beta", page=True)
    add_module(folder, "Plain")
    add_module(folder, "Broken", broken=True)
    return folder


@pytest.fixture(scope="module")
def server(modules: Path) -> Iterator[ServerProcess]:
    with ServerProcess(modules.parent, modules) as process:
        for module_id in ("Alpha", "Beta", "Plain"):
            process.wait_ready(module_id)
        yield process


@pytest.fixture
def page(guest: Visitor, server: ServerProcess) -> Page:
    tab = guest.tab()
    tab.goto(f"{server.url}/explorer.html")
    tab.locator("#modules li").first.wait_for()
    return tab


def show(page: Page, module_id: str) -> None:
    page.locator(f'#modules li[data-module="{module_id}"] a').click()
    expect(page.locator(f'article[data-module="{module_id}"]')).to_be_visible()


def frame_of(page: Page, module_id: str) -> FrameLocator:
    return page.frame_locator(f'article[data-module="{module_id}"] iframe')


def test_pages_with_the_same_names_work_side_by_side(page: Page, guest: Visitor) -> None:
    for module_id in ("Alpha", "Beta"):
        show(page, module_id)
        frame = frame_of(page, module_id)
        frame.locator("#send").click()
        expect(frame.locator("#results")).to_have_text(f"{module_id}_ 9: from {module_id}_")
    show(page, "Alpha")
    expect(frame_of(page, "Alpha").locator("#results")).to_contain_text("from Alpha_")
    assert guest.complaints.texts == []


def test_a_pages_own_html_and_its_answers_run_nothing(page: Page) -> None:
    show(page, "Alpha")
    frame = frame_of(page, "Alpha")
    frame.locator("#text").fill(HOSTILE)
    frame.locator("#send").click()
    expect(frame.locator("#results")).to_contain_text("Alpha_")
    assert frame.locator("#results [onerror]").count() == 0
    assert not page.evaluate("() => Boolean(window.attacked)")


def test_enter_in_a_form_does_not_take_the_page_away(page: Page) -> None:
    show(page, "Beta")
    frame = frame_of(page, "Beta")
    frame.locator("#text").press("Enter")
    expect(frame.locator("#results")).to_contain_text("from Beta_")


def test_a_module_without_a_page_shows_its_routes(page: Page) -> None:
    show(page, "Plain")
    panel = page.locator('article[data-module="Plain"]')
    expect(panel.get_by_role("tab", name="Page")).to_be_hidden()
    echo = panel.locator('[data-route="plain/echo"]')
    expect(echo.get_by_label("Text")).to_have_value("hello")
    echo.get_by_label("Text").fill(HOSTILE)
    echo.get_by_role("button", name="Send").click()
    expect(echo.locator(".reply")).to_have_text(HOSTILE)
    assert echo.locator(".answer img").count() == 0


def test_a_long_command_grows_and_stops(page: Page) -> None:
    show(page, "Plain")
    count = page.locator('[data-route="plain/count"]')
    count.get_by_role("button", name="Send").click()
    expect(count.locator(".reply")).to_contain_text("1 2 3")
    expect(count.locator(".reply")).to_contain_text("12 13 14")
    count.get_by_role("button", name="Stop").click()
    expect(count.locator(".progress-text")).to_contain_text("Stopped")
    expect(count.get_by_role("button", name="Send")).to_be_enabled()
    expect(count.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_module_that_cannot_start_says_why(page: Page) -> None:
    show(page, "Broken")
    panel = page.locator('article[data-module="Broken"]')
    expect(panel.locator(".badge-state")).to_have_text("Failed")
    expect(panel.locator(".callout")).to_contain_text("this module cannot <b>start</b>")
    panel.get_by_role("link", name="Show its log").click()
    expect(page.get_by_role("searchbox")).to_have_value("Broken module")
    expect(page.locator(".log-lines li:not([hidden])").first).to_contain_text("Broken")


def test_an_edited_program_is_shown_and_taken_up_by_the_button_beside_it(page: Page, modules: Path) -> None:
    show(page, "Beta")
    callout = page.locator('article[data-module="Beta"] .callout')
    expect(callout).to_be_hidden()
    program = modules / "Beta" / "adapter.py"
    program.write_text(program.read_text("utf-8").replace('data.get_value("text", "")', '"edited"'), encoding="utf-8")
    expect(callout).to_contain_text("adapter.py")
    callout.get_by_role("button", name="Restart").click()
    expect(callout).to_be_hidden()
    frame = frame_of(page, "Beta")
    frame.locator("#send").click()
    expect(frame.locator("#results")).to_contain_text("edited")


def test_a_module_appears_when_it_is_dropped_in_and_goes_when_it_is_removed(page: Page, modules: Path) -> None:
    folder = add_module(modules, "Late", page=True)
    entry = page.locator('#modules li[data-module="Late"]')
    expect(entry.locator(".word")).to_have_text("Ready")
    show(page, "Late")
    frame_of(page, "Late").locator("#send").click()
    expect(frame_of(page, "Late").locator("#results")).to_contain_text("from Late_")
    shutil.rmtree(folder)
    expect(entry).to_have_count(0)


def test_the_banner_goes_when_the_server_is_back(guest: Visitor, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        page = guest.tab()
        page.goto(f"{server.url}/explorer.html")
        expect(page.get_by_role("heading", name="No modules yet")).to_be_visible()
        server.kill()
        expect(page.locator("#banner")).to_be_visible()
        server.start()
        expect(page.locator("#banner")).to_be_hidden()
