"""Light and dark, wide and narrow: the explorer and the page inside it agree, and nothing scrolls sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser_explorer import Explorer, brightness, overflow
from tests.support.browser_session import DESKTOP, PHONE, visitor


def test_dark_follows_the_system_inside_the_frame_too(browser: Browser, server_url: str) -> None:
    with visitor(browser, scheme="dark") as guest:
        explorer = Explorer(guest.tab(), server_url).open("#LlamaChat")
        assert brightness(explorer.page) < 60
        assert brightness(explorer.inside(), name="color") > 180


def test_the_toggle_reaches_the_frame_and_is_remembered(explorer: Explorer) -> None:
    assert brightness(explorer.page) > 200
    inside = explorer.inside()
    assert brightness(inside, name="color") < 80
    inside.evaluate("() => { window.stillHere = true; }")
    toggle = explorer.page.get_by_role("button", name="Change theme")
    toggle.click()
    toggle.click()
    expect(explorer.page.locator("html")).to_have_attribute("data-theme", "dark")
    assert brightness(explorer.page) < 60
    assert brightness(inside, name="color") > 180
    assert inside.evaluate("() => window.stillHere === true")
    explorer.page.reload()
    assert brightness(explorer.page) < 60
    assert brightness(explorer.inside(), name="color") > 180


@pytest.mark.parametrize("size", [PHONE, DESKTOP, (1920, 1080)])
def test_nothing_scrolls_sideways(browser: Browser, server_url: str, size: tuple[int, int]) -> None:
    with visitor(browser, size=size) as guest:
        explorer = Explorer(guest.tab(), server_url).open("#LlamaChat")
        explorer.send("What is a module?")
        explorer.wait_for_state("completed")
        assert overflow(explorer.page) <= 0
        assert overflow(explorer.inside()) <= 0
        for name in ("Routes", "Details"):
            explorer.page.get_by_role("tab", name=name).click()
            assert overflow(explorer.page) <= 0
        explorer.page.goto(f"{explorer.url}/explorer.html#/log")
        explorer.page.locator(".log-lines li").first.wait_for()
        assert overflow(explorer.page) <= 0


def test_the_frame_is_as_high_as_its_content(explorer: Explorer) -> None:
    explorer.send("What is a module?")
    explorer.wait_for_state("completed")
    explorer.inside().wait_for_function(
        "() => Math.abs(document.body.getBoundingClientRect().height - window.innerHeight) <= 1"
    )


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_long_chat_scrolls_inside_its_box(browser: Browser, server_url: str, size: tuple[int, int]) -> None:
    with visitor(browser, size=size) as guest:
        explorer = Explorer(guest.tab(), server_url).open("#LlamaChat")
        explorer.make_replies_long(1_000)
        explorer.send("What is a module?")
        explorer.wait_for_state("completed")
        inside, height = explorer.part("log").evaluate(
            "(log) => [log.scrollHeight > log.clientHeight, log.offsetHeight]"
        )
        assert inside
        assert height / size[1] == pytest.approx(0.55, abs=0.01)


def test_on_a_phone_each_button_has_one_line(browser: Browser, server_url: str) -> None:
    with visitor(browser, size=PHONE) as guest:
        explorer = Explorer(guest.tab(), server_url).open("#LlamaChat")
        lines = """(button) => {
          const range = document.createRange();
          range.selectNodeContents(button);
          return new Set([...range.getClientRects()].map((rectangle) => rectangle.top)).size;
        }"""
        explorer.inside()
        assert [explorer.part(name).evaluate(lines) for name in ("send", "stop", "clear")] == [1, 1, 1]


def test_on_a_phone_the_modules_are_behind_a_button(browser: Browser, server_url: str) -> None:
    with visitor(browser, size=PHONE) as guest:
        explorer = Explorer(guest.tab(), server_url).open("#/log")
        entry = explorer.list_entry("LlamaChat")
        expect(entry).to_be_hidden()
        button = explorer.page.get_by_role("button", name="Modules")
        button.tap()
        expect(button).to_have_attribute("aria-expanded", "true")
        entry.tap()
        expect(entry).to_be_hidden()
        explorer.part("prompt").wait_for()
