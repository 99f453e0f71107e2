"""Reading along in the chat page: it follows the reply until the reader scrolls up, and tells it in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser_chat import asked, counted, record_of
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import LAPTOP, TALL_PHONE, visitor
from tests.support.server_process import ServerProcess, wait_until

ENDLESS = "tall 1000000"
_GAP = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"
_WATCH_ANNOUNCEMENTS = """(id) => {
  window.announced = [];
  const said = document.getElementById(id);
  new MutationObserver(() => window.announced.push(said.textContent)).observe(said, { childList: true });
}"""


@pytest.fixture(params=[LAPTOP, TALL_PHONE], ids=["laptop", "phone"])
def chat(browser: Browser, counting: ServerProcess, request: Any) -> Iterator[Explorer]:
    with visitor(browser, size=request.param) as guest:
        explorer = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
        explorer.inside()
        explorer.record_growth()
        yield explorer
        for command in counting.get("/v1/commands?state=live&brief=true")["commands"]:
            counting.post(f"/v1/commands/{command['id']}/cancel")


def gap(chat: Explorer) -> float:
    """How many pixels of the conversation are below what is seen of it."""
    pixels: float = chat.part("log").evaluate(_GAP)
    return pixels


def grow(chat: Explorer) -> None:
    """Waits until the reply has grown a good deal."""
    chat.wait_for_lengths(len(chat.seen_lengths()) + 5)


def is_at_end_after(chat: Explorer, step: Callable[[], None]) -> bool:
    """One step further down: the log grows meanwhile, so nobody knows how many there are to its end."""
    step()
    return gap(chat) <= 1


def wait_for_log(chat: Explorer, condition: str) -> None:
    script = f"(id) => {{ const log = document.getElementById(id); return log.{condition}; }}"
    chat.inside().wait_for_function(script, arg=f"{MODULE}_log")


def test_a_conversation_that_fills_its_box_is_followed(chat: Explorer) -> None:
    for _ in range(3):
        asked(chat, "tall 25")
        chat.wait_for_state("completed")
        assert gap(chat) <= 1
    assert chat.part("log").evaluate("(log) => log.scrollHeight > 2 * log.clientHeight")
    asked(chat, ENDLESS)
    for _ in range(5):
        grow(chat)
        assert gap(chat) <= 1


def test_a_reader_who_scrolls_up_is_left_alone_until_he_is_back(chat: Explorer) -> None:
    asked(chat, ENDLESS)
    log = chat.part("log")
    wait_for_log(chat, "scrollHeight > 2 * log.clientHeight")
    log.focus()
    log.press("Home")
    wait_for_log(chat, "scrollTop === 0")
    grow(chat)
    assert log.evaluate("(log) => log.scrollTop") == 0
    log.press("End")
    wait_for_log(chat, "scrollHeight - log.scrollTop - log.clientHeight < 1")
    for _ in range(3):
        grow(chat)
        assert gap(chat) <= 1
    log.press("Home")
    chat.stop()
    chat.send("tall 3")  # who asks wants to see the answer
    chat.wait_for_state("completed")
    assert gap(chat) <= 1


def test_the_wheel_and_the_page_keys_leave_the_end_and_come_back_to_it(chat: Explorer) -> None:
    asked(chat, ENDLESS)
    log = chat.part("log")
    wait_for_log(chat, "scrollHeight > 4 * log.clientHeight")
    log.hover()
    log.focus()
    ways: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (partial(chat.page.mouse.wheel, 0, -300), partial(chat.page.mouse.wheel, 0, 1_000_000)),
        (partial(log.press, "PageUp"), partial(log.press, "PageDown")),
    ]
    for up, down in ways:
        up()
        wait_for_log(chat, "scrollHeight - log.scrollTop - log.clientHeight > 100")
        grow(chat)
        assert gap(chat) > 100
        wait_until("the end is reached", partial(is_at_end_after, chat, down))
        for _ in range(3):
            grow(chat)
            assert gap(chat) <= 1


def test_a_reply_that_grew_out_of_sight_is_seen_at_its_end(chat: Explorer) -> None:
    asked(chat, ENDLESS)
    chat.wait_for_lengths(30)
    chat.page.evaluate("() => { location.hash = '#/log'; }")
    expect(chat.panel()).to_be_hidden()
    chat.wait_for_lengths(len(chat.seen_lengths()) + 20)
    chat.page.evaluate(f"() => {{ location.hash = '#{MODULE}'; }}")
    grow(chat)
    assert gap(chat) <= 1


def test_screen_readers_hear_the_whole_reply_in_few_pieces(chat: Explorer) -> None:
    expect(chat.part("log")).to_have_attribute("aria-live", "off")
    chat.inside().evaluate(_WATCH_ANNOUNCEMENTS, f"{MODULE}_said")
    asked(chat, "200")
    chat.wait_for_state("completed")
    pieces: list[str] = chat.inside_now().evaluate("() => window.announced")
    assert "".join(pieces).strip() == counted(200)
    assert len(pieces) * 5 < len(chat.seen_lengths())


def test_text_has_the_direction_of_its_language_and_keeps_its_lines(chat: Explorer) -> None:
    command_id = asked(chat, "שלום 2")
    chat.wait_for_state("completed")
    question = chat.inside().locator(f"#{MODULE}_log .lc-user")
    assert question.evaluate("(element) => getComputedStyle(element).direction") == "rtl"
    assert chat.part("reply").evaluate("(element) => getComputedStyle(element).direction") == "ltr"
    chat.part("prompt").fill("שלום")
    assert chat.part("prompt").evaluate("(element) => getComputedStyle(element).direction") == "rtl"
    assert record_of(chat, command_id)["success"]
    asked(chat, "tall 3")
    chat.wait_for_state("completed")
    assert chat.reply() == "1\n2\n3"


def test_the_box_grows_with_its_text_up_to_a_limit(chat: Explorer) -> None:
    height = "(box) => box.offsetHeight"
    box = chat.part("prompt")
    low: int = box.evaluate(height)
    box.fill("\n".join(map(str, range(6))))
    middle: int = box.evaluate(height)
    box.fill("\n".join(map(str, range(200))))
    high: int = box.evaluate(height)
    assert low < middle < high < 0.4 * chat.page.viewport_size["height"]  # type: ignore[index]
