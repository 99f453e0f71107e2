"""What the guide tells a module's author to write, in the explorer: its page, its forms, and an edited program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_session import Visitor
from tests.support.documents import blocks
from tests.support.server_process import ServerProcess

GUIDE = "docs/writing-a-module.md"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide") / "modules" / "Shout"
    folder.mkdir(parents=True)
    (folder / "modulesettings.json").write_text(blocks(GUIDE, "json")[0])
    (folder / "shout_adapter.py").write_text(blocks(GUIDE, "python")[0])
    (folder / "explore.html").write_text(blocks(GUIDE, "html")[0])
    return folder


@pytest.fixture(scope="module")
def server(shout: Path) -> Iterator[ServerProcess]:
    with ServerProcess(shout.parent.parent, shout.parent) as process:
        process.wait_ready("Shout", 200)
        yield process


@pytest.fixture
def page(guest: Visitor, server: ServerProcess) -> Page:
    tab = guest.tab()
    tab.goto(f"{server.url}/explorer.html#Shout")
    expect(tab.locator('article[data-module="Shout"]')).to_be_visible()
    return tab


def test_the_page_shows_its_answer(page: Page, guest: Visitor) -> None:
    frame = page.frame_locator('article[data-module="Shout"] iframe')
    frame.get_by_label("Text").fill("hello")
    frame.get_by_role("button", name="Shout").click()
    expect(frame.get_by_text("HELLO", exact=True)).to_be_visible()
    frame.get_by_label("Text").fill("")
    frame.get_by_role("button", name="Shout").click()
    expect(frame.get_by_text("Send some 'text'.")).to_be_visible()
    assert guest.complaints.texts == []


def test_its_routes_have_a_field(page: Page) -> None:
    panel = page.locator('article[data-module="Shout"]')
    panel.get_by_role("tab", name="Routes").click()
    form = panel.locator('[data-route="text/shout"]')
    expect(form.get_by_label("Text")).to_have_value("hello")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".reply")).to_have_text("HELLO")


def test_an_edited_program_is_shown_until_it_is_restarted(page: Page, shout: Path) -> None:
    panel = page.locator('article[data-module="Shout"]')
    expect(panel.locator(".callout")).to_be_hidden()
    adapter = shout / "shout_adapter.py"
    adapter.write_text(adapter.read_text().replace("text.upper()", "text.upper() + '!'"))
    expect(panel.locator(".callout")).to_contain_text("Changed since it was started: shout_adapter.py", timeout=60_000)
    panel.locator(".callout").get_by_role("button", name="Restart").click()
    expect(panel.locator(".callout")).to_be_hidden(timeout=60_000)
    expect(panel.locator(".badge-state")).to_have_text("Ready", timeout=60_000)
    frame = page.frame_locator('article[data-module="Shout"] iframe')
    frame.get_by_label("Text").fill("hello")
    frame.get_by_role("button", name="Shout").click()
    expect(frame.get_by_text("HELLO!", exact=True)).to_be_visible()


def test_an_edited_page_is_shown_by_itself(page: Page, shout: Path, server: ServerProcess) -> None:
    started = server.module("Shout")["started"]
    html = shout / "explore.html"
    html.write_text(html.read_text().replace(">Shout</button>", ">Louder</button>"))
    frame = page.frame_locator('article[data-module="Shout"] iframe')
    expect(frame.get_by_role("button", name="Louder")).to_be_visible(timeout=60_000)
    assert server.module("Shout")["started"] == started
