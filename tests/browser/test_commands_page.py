"""The list of commands: what runs and waits is seen and stopped, also when the browser that asked is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support.browser_chat import asked
from tests.support.browser_explorer import MODULE, Explorer, overflow
from tests.support.browser_session import LAPTOP, TALL_PHONE, Visitor, visitor
from tests.support.server_process import ServerProcess, wait_until

ENDLESS = "1000000"


@pytest.fixture(params=[LAPTOP, TALL_PHONE], ids=["laptop", "phone"])
def watcher(browser: Browser, counting: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    with visitor(browser, size=request.param) as guest:
        yield guest
        for command in counting.get("/v1/commands?state=live&brief=true")["commands"]:
            counting.post(f"/v1/commands/{command['id']}/cancel")


def at_commands(guest: Visitor, server: ServerProcess) -> Explorer:
    return Explorer(guest.tab(), server.url).open("#/commands")


def row(explorer: Explorer, command_id: str) -> Locator:
    return explorer.page.locator(f'[data-command="{command_id}"]')


def stop_button(explorer: Explorer, command_id: str) -> Locator:
    return row(explorer, command_id).get_by_role("button", name="Stop text/chat of LlamaChat, sent at")


def region(explorer: Explorer, name: str) -> Locator:
    return explorer.page.get_by_role("region", name=name)


def test_a_chat_whose_browser_is_gone_is_seen_and_stopped(
    browser: Browser, watcher: Visitor, counting: ServerProcess
) -> None:
    with visitor(browser) as gone:
        chat = Explorer(gone.tab(), counting.url).open(f"#{MODULE}")
        chat.inside()
        runaway = asked(chat, ENDLESS)
    explorer = at_commands(watcher, counting)
    running = region(explorer, "Running and waiting").locator(f'[data-command="{runaway}"]')
    expect(running.locator(".badge-state")).to_have_text("Running")
    expect(running).to_contain_text("text/chat")
    expect(running).to_contain_text("characters so far")
    assert overflow(explorer.page) <= 0
    explorer.page.reload()
    stop_button(explorer, runaway).click()
    ended = region(explorer, "Ended").locator(f'[data-command="{runaway}"]')
    expect(ended.locator(".badge-state")).to_have_text("Stopped")
    note = explorer.page.locator(".commands-view [role=status]")
    expect(note).to_contain_text("text/chat of LlamaChat is being stopped")
    expect(region(explorer, "Running and waiting")).to_contain_text("Nothing is running, and nothing is waiting.")
    assert counting.get(f"/v1/commands/{runaway}")["state"] == "cancelled"
    assert watcher.complaints.texts == []


def test_the_list_is_live_and_works_with_the_keyboard(watcher: Visitor, counting: ServerProcess) -> None:
    explorer = at_commands(watcher, counting)
    running, waiting = (counting.post("/v1/text/chat", prompt=ENDLESS)["commandId"] for _ in range(2))
    expect(row(explorer, running).locator(".badge-state")).to_have_text("Running")
    expect(row(explorer, waiting)).to_contain_text("next in its queue")
    expect(explorer.page.locator("#command-count")).to_have_text("2 active")
    summary = row(explorer, running).locator("summary")
    summary.press("Enter")
    expect(row(explorer, running).locator("pre")).to_contain_text("1 2 3")
    length = len(row(explorer, running).locator("pre").inner_text())
    wait_until("the text grows", lambda: len(row(explorer, running).locator("pre").inner_text()) > length)
    stop_button(explorer, waiting).press("Enter")
    expect(region(explorer, "Ended").locator(f'[data-command="{waiting}"]')).to_contain_text("Stopped")
    expect(explorer.page.get_by_role("heading", name="Commands")).to_be_focused()  # not lost with the button
    stop_button(explorer, running).press("Enter")
    ended = region(explorer, "Ended").locator(f'[data-command="{running}"]')
    expect(ended.locator(".badge-state")).to_have_text("Stopped")
    expect(ended.locator("pre")).to_contain_text("1 2 3")
    expect(explorer.page.locator("#command-count")).to_have_text("")


def test_what_failed_says_why_and_a_row_leads_to_its_module(watcher: Visitor, counting: ServerProcess) -> None:
    command_id = counting.post("/v1/text/chat", prompt="fail 3")["commandId"]
    counting.wait_ended(MODULE, command_id)
    explorer = at_commands(watcher, counting)
    ended = region(explorer, "Ended").locator(f'[data-command="{command_id}"]')
    expect(ended.locator(".badge-state")).to_have_text("Failed")
    expect(ended).to_contain_text("It broke.")
    expect(ended.get_by_role("button")).to_have_count(0)
    ended.get_by_role("link", name=MODULE).click()
    expect(explorer.panel()).to_be_visible()


def test_a_cancel_that_does_not_arrive_is_said(watcher: Visitor, counting: ServerProcess) -> None:
    command_id = counting.post("/v1/text/chat", prompt=ENDLESS)["commandId"]
    explorer = at_commands(watcher, counting)
    explorer.page.route("**/v1/commands/*/cancel", lambda route: route.abort())
    stop_button(explorer, command_id).click()
    expect(explorer.page.locator(".commands-view [role=status]")).to_contain_text("could not be stopped")
    expect(stop_button(explorer, command_id)).to_be_enabled()


def test_without_any_command_the_page_says_so(guest: Visitor, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        page = guest.tab()
        page.goto(f"{server.url}/explorer.html#/commands")
        expect(page.get_by_role("region", name="Running and waiting")).to_contain_text("Nothing is running")
        expect(page.get_by_role("region", name="Ended")).to_contain_text("No command is kept.")
