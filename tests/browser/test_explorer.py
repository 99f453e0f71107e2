"""The explorer around the module pages: states, banner, navigation, log, generic forms, nothing in the console."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Response, Route, expect

from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import Visitor


def is_status(response: Response) -> bool:
    return response.url.endswith("/v1/module/list/status")


def statuses(explorer: Explorer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = explorer.page.request.get(f"{explorer.url}/v1/module/list/status").json()["statuses"]
    return found


def in_state(word: str, reason: str | None) -> Any:
    def change(body: dict[str, Any]) -> None:
        for status in body["statuses"]:
            status.update(state=word, stateReason=reason)

    return change


def test_every_module_is_listed_with_its_state(explorer: Explorer) -> None:
    for status in statuses(explorer):
        entry = explorer.list_entry(status["moduleId"])
        expect(entry.locator(".name")).to_have_text(status["name"])
        expect(entry.locator(".word")).to_have_text(status["state"])
    expect(explorer.panel().locator(".badge-state")).to_have_text("Ready")
    expect(explorer.page.locator("#server-state")).to_contain_text("Connected")


def test_a_working_module_is_shown_busy_and_then_ready(explorer: Explorer) -> None:
    explorer.make_replies_long()
    explorer.send("What is a module?")
    badge = explorer.panel().locator(".badge-state")
    expect(badge).to_have_text("Busy")
    explorer.stop()
    expect(badge).to_have_text("Ready")


@pytest.mark.parametrize(
    ("word", "shown", "reason"),
    [
        ("Installing", "Installing", None),
        ("Starting", "Starting", None),
        ("Backoff", "Waiting", "exit code 3: <b>no such module</b>"),
        ("Failed", "Failed", "line 3: key Queue"),
        ("Stopping", "Stopping", None),
        ("Stopped", "Stopped", None),
        ("NotReady", "Not ready", "there is no model file x.gguf. Run 'bash install.sh --model OWNER/NAME'"),
    ],
)
def test_a_module_that_is_not_ready_says_why(
    guest: Visitor, server_url: str, word: str, shown: str, reason: str | None
) -> None:
    explorer = Explorer(guest.tab(), server_url)
    explorer.alter("module/list/status", in_state(word, reason))
    explorer.open("#LlamaChat")
    expect(explorer.list_entry(MODULE).locator(".word")).to_have_text(shown)
    callout = explorer.panel().locator(".callout")
    expect(callout).to_be_visible()
    if reason:
        expect(callout).to_contain_text(reason, ignore_case=True)


def test_a_module_that_will_be_started_again_says_when(guest: Visitor, server_url: str) -> None:
    def wait(body: dict[str, Any]) -> None:
        for status in body["statuses"]:
            status.update(state="Backoff", stateReason="exit code 3", startsInSecs=17)

    explorer = Explorer(guest.tab(), server_url)
    explorer.alter("module/list/status", wait)
    explorer.open("#LlamaChat")
    expect(explorer.panel().locator(".badge-state")).to_have_text("Waiting to start again in 17 s")
    expect(explorer.panel().locator(".callout")).to_contain_text("Exit code 3")
    assert "Backoff" not in explorer.page.locator("body").inner_text()


@pytest.mark.parametrize("state", ["NotReady", "Failed"])
def test_the_chat_page_says_that_a_model_is_missing_and_where_to_choose_one(
    guest: Visitor, server_url: str, state: str
) -> None:
    explorer = Explorer(guest.tab(), server_url)
    explorer.alter("module/list/status", in_state(state, "there is no model file x.gguf"))
    explorer.open("#LlamaChat")
    expect(explorer.panel().locator(".callout")).to_contain_text("There is no model file x.gguf")
    expect(explorer.part("model")).to_have_text("LlamaChat is not ready. Choose a model in the tab Settings.")
    explorer.page.get_by_role("tab", name="Settings").click()
    expect(explorer.panel().get_by_label("full path")).to_be_visible()
    expect(explorer.panel().locator(".models [role=status]")).to_have_text("No model is loaded.")
    expect(explorer.panel().get_by_text("There is no model file x.gguf").locator("visible=true")).to_have_count(1)
    expect(explorer.panel().get_by_role("button", name="Restart").locator("visible=true")).to_have_count(1)


def test_a_running_module_shows_its_notes_and_is_restarted_beside_them(guest: Visitor, server_url: str) -> None:
    note = "adapter.py has changed since it was started: restart it to run it as it is now."

    def say(body: dict[str, Any]) -> None:
        for status in body["statuses"]:
            status.update(notes=[note], stateReason=note)

    explorer = Explorer(guest.tab(), server_url)
    explorer.alter("module/list/status", say)
    explorer.open("#LlamaChat")
    callout = explorer.panel().locator(".callout")
    expect(callout.locator(".reason-text")).to_have_text(note[0].upper() + note[1:])
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.post_data or "")
        route.fulfill(status=403, json={"success": False, "error": "Only an administrator may do that."})

    explorer.page.route("**/v1/settings/LlamaChat", refuse)
    callout.get_by_role("button", name="Restart").click()
    expect(callout.get_by_role("alert")).to_have_text("Only an administrator may do that.")
    assert "Restart" in asked[0]
    explorer.page.unroute("**/v1/settings/LlamaChat")


def test_without_an_address_the_first_page_is_shown(guest: Visitor, server_url: str) -> None:
    explorer = Explorer(guest.tab(), server_url).open()
    explorer.part("prompt").wait_for()
    expect(explorer.list_entry(MODULE)).to_have_attribute("aria-current", "page")


def test_without_modules_it_tells_how_to_add_one(guest: Visitor, server_url: str) -> None:
    explorer = Explorer(guest.tab(), server_url)
    explorer.alter("module/list/status", lambda body: body.update(statuses=[]))
    explorer.page.goto(f"{explorer.url}/explorer.html")
    expect(explorer.page.get_by_role("heading", name="No modules yet")).to_be_visible()


def test_the_frame_survives_polling_and_navigation(explorer: Explorer) -> None:
    explorer.inside().evaluate("() => { window.stillHere = true; }")
    for _ in range(2):
        explorer.page.wait_for_event("response", predicate=is_status)
    explorer.page.locator("#log-link").click()
    explorer.list_entry(MODULE).click()
    assert explorer.inside().evaluate("() => window.stillHere === true")


def test_a_banner_shows_while_the_server_cannot_be_reached(explorer: Explorer, guest: Visitor) -> None:
    banner = explorer.page.locator("#banner")
    expect(banner).to_be_hidden()
    guest.context.set_offline(True)
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("cannot be reached")
    guest.context.set_offline(False)
    expect(banner).to_be_hidden()
    expect(explorer.page.locator("#server-state")).to_contain_text("Connected")


def test_the_log_is_shown_filtered_and_paused(explorer: Explorer) -> None:
    explorer.page.locator("#log-link").click()
    lines = explorer.page.locator(".log-lines li")
    lines.first.wait_for()
    search = explorer.page.get_by_role("searchbox", name="Filter the log")
    search.fill("no line has this text")
    expect(explorer.page.locator(".log-lines li:not([hidden])")).to_have_count(0)
    search.fill("")
    expect(explorer.page.locator(".log-lines li:not([hidden])").first).to_be_visible()
    pause = explorer.page.get_by_role("button", name="Pause")
    pause.click()
    expect(explorer.page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")


def test_a_route_can_be_tried_without_a_page(explorer: Explorer) -> None:
    explorer.page.get_by_role("tab", name="Routes").click()
    form = explorer.panel().locator('[data-route="text/chat"]')
    form.get_by_label("Prompt", exact=True).fill("What is a module?")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".progress-text")).to_contain_text("Done")
    expect(form.locator(".reply")).not_to_have_text("")


def test_a_routes_failure_is_shown(explorer: Explorer) -> None:
    explorer.page.get_by_role("tab", name="Routes").click()
    form = explorer.panel().locator('[data-route="text/chat"]')
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("alert")).to_be_visible()
    expect(form.get_by_role("button", name="Send")).to_be_enabled()


def test_the_tabs_work_with_the_keyboard(explorer: Explorer) -> None:
    explorer.page.get_by_role("tab", name="Page").focus()
    explorer.page.keyboard.press("ArrowRight")
    expect(explorer.page.get_by_role("tab", name="Routes")).to_be_focused()
    explorer.page.keyboard.press("End")
    expect(explorer.page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")
    expect(explorer.panel().get_by_role("tabpanel", name="Details")).to_be_visible()


def test_nothing_complains_on_a_whole_visit(explorer: Explorer, guest: Visitor) -> None:
    explorer.send("What is a module?")
    explorer.wait_for_state("completed")
    for name in ("Routes", "Details", "Page"):
        explorer.page.get_by_role("tab", name=name).click()
    explorer.page.locator("#log-link").click()
    explorer.page.locator(".log-lines li").first.wait_for()
    explorer.page.reload()
    explorer.page.locator(".log-lines li").first.wait_for()
    explorer.list_entry(MODULE).click()
    explorer.inside()
    assert guest.complaints.texts == []
