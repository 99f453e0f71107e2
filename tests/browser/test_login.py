"""Where the server asks for a key: the log-in of the explorer, what works after it, and the log-out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_chat import Traffic, add_counting_chat, asked, counted
from tests.support.browser_explorer import MODULE, Explorer, overflow
from tests.support.browser_session import LAPTOP, PHONE, Visitor, visitor
from tests.support.server_process import ServerProcess, wait_until

KEY = "a-key-of-nobody-else"
AUTHORIZED = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("locked")
    add_counting_chat(folder / "modules")
    with ServerProcess(folder, folder / "modules", MILLRACE_API_KEYS=f"ann={KEY}") as process:

        def ready() -> bool:
            statuses = json.loads(process.call("/v1/module/list/status", headers=AUTHORIZED)[1])["statuses"]
            return bool(statuses) and statuses[0]["state"] in ("Ready", "Busy")

        wait_until("the module is ready", ready)
        yield process


def log_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def visit(guest: Visitor, server: ServerProcess) -> Explorer:
    explorer = Explorer(guest.tab(), server.url)
    explorer.page.goto(f"{server.url}/explorer.html#{MODULE}")
    return explorer


def test_without_a_key_there_is_nothing_but_the_log_in(visit: Explorer, guest: Visitor) -> None:
    page = visit.page
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page.locator("#modules")).to_be_hidden()
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    log_in(page, "another key")
    expect(page.get_by_role("alert").filter(has_text="key")).to_be_visible()
    expect(page.locator("#modules")).to_be_hidden()


def test_after_the_log_in_a_chat_is_streamed_and_reloaded(visit: Explorer) -> None:
    log_in(visit.page, KEY)
    visit.inside()
    traffic = Traffic.of(visit.page)
    visit.record_growth()
    command_id = asked(visit, "120")
    visit.wait_for_lengths(3)
    assert traffic.streams == [command_id]
    visit.page.reload()
    visit.wait_for_state("completed")
    assert visit.reply() == counted(120)


def test_neither_key_nor_cookie_is_seen_by_a_script(visit: Explorer) -> None:
    log_in(visit.page, KEY)
    inside = visit.inside()
    assert visit.page.evaluate("() => document.cookie") == ""
    assert KEY not in visit.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}, name])")
    assert KEY not in inside.evaluate("() => JSON.stringify([name, document.documentElement.outerHTML])")


@pytest.mark.parametrize("size", [PHONE, LAPTOP])
def test_log_in_and_log_out_fit_the_window(browser: Browser, server: ServerProcess, size: tuple[int, int]) -> None:
    with visitor(browser, size=size) as guest:
        explorer = Explorer(guest.tab(), server.url)
        explorer.page.goto(f"{server.url}/explorer.html#{MODULE}")
        field = explorer.page.get_by_label("API key")
        expect(field).to_be_visible()
        assert field.bounding_box()["width"] > 250  # type: ignore[index]
        assert overflow(explorer.page) <= 0
        log_in(explorer.page, KEY)
        explorer.inside()
        button = explorer.page.get_by_role("button", name="Log out").bounding_box()
        assert button is not None
        assert button["y"] + button["height"] <= 56  # the header's height
        assert overflow(explorer.page) <= 0


def test_a_log_out_asks_for_the_key_again(visit: Explorer) -> None:
    page = visit.page
    log_in(page, KEY)
    visit.inside()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.request.get(f"{visit.url}/v1/commands").status == 401


def test_a_log_in_that_ended_elsewhere_is_noticed(visit: Explorer) -> None:
    log_in(visit.page, KEY)
    visit.inside()
    visit.part("prompt").fill("not sent yet")
    visit.page.context.clear_cookies()
    log_in(visit.page, KEY)
    expect(visit.part("prompt")).to_have_value("not sent yet")
