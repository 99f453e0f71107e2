"""LlamaChat's page follows its reply: by a stream, else by polls, over reloads and restarts, whole and once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_chat import EVENTS, PAGE_STORE, Traffic, asked, counted, kept_for_page, record_of
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import Visitor
from tests.support.server_process import ServerProcess

ENDLESS = 1_000_000
HOSTILE = "<b>Hm</b> <img src=x>"


@pytest.fixture
def chat(guest: Visitor, counting: ServerProcess) -> Explorer:
    return opened(guest, counting)


def opened(guest: Visitor, counting: ServerProcess) -> Explorer:
    explorer = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
    explorer.inside()
    return explorer


def count(chat: Explorer, to: int) -> str:
    """Asks for the numbers up to `to`, and returns the command's id when some of them are shown."""
    chat.record_growth()
    command_id = asked(chat, str(to))
    chat.wait_for_lengths(3)
    return command_id


BEGINNING = 'id: 1\nevent: started\ndata: {}\n\nid: 2\nevent: delta\ndata: {"text": "1 "}\n\n'


def block(page: Page) -> None:
    page.route(EVENTS, lambda route: route.abort())


def answer_not_found(page: Page) -> None:
    page.route(EVENTS, lambda route: route.fulfill(status=404, json={"success": False, "error": "no such route"}))


def answer_without_the_first_events(page: Page) -> None:
    later = 'id: 5\nevent: delta\ndata: {"text": "later"}\n\n'
    page.route(EVENTS, lambda route: route.fulfill(content_type="text/event-stream", body=later))


def break_off_and_stay_away(page: Page) -> None:
    block(page)
    page.route(EVENTS, lambda route: route.fulfill(content_type="text/event-stream", body=BEGINNING), times=1)


def break_off_again_and_again(page: Page) -> None:
    page.route(EVENTS, lambda route: route.fulfill(content_type="text/event-stream", body=BEGINNING))


def test_a_reply_grows_by_a_stream_alone(explorer: Explorer) -> None:
    traffic = Traffic.of(explorer.page)
    explorer.make_replies_long()
    explorer.record_growth()
    command_id = asked(explorer, "What is a module?")
    explorer.wait_for_lengths(5)
    explorer.stop()
    assert (traffic.streams, traffic.polls) == ([command_id], [])
    assert explorer.reply() == record_of(explorer, command_id)["reply"].strip()


@pytest.mark.parametrize(
    "hinder",
    [block, answer_not_found, answer_without_the_first_events, break_off_and_stay_away, break_off_again_and_again],
)
def test_without_a_stream_the_reply_is_polled(chat: Explorer, hinder: Callable[[Page], None]) -> None:
    hinder(chat.page)
    traffic = Traffic.of(chat.page)
    command_id = asked(chat, "150")
    chat.wait_for_state("completed")
    assert chat.reply() == counted(150)
    assert set(traffic.polls) == {command_id}


def test_a_reload_rejoins_the_running_reply(chat: Explorer) -> None:
    asked(chat, "3")
    chat.wait_for_state("completed")
    count(chat, 150)
    chat.page.reload()
    chat.wait_for_state("running")
    expect(chat.part("send")).to_be_disabled()
    chat.wait_for_state("completed")
    said = chat.inside().locator(f"#{MODULE}_log .lc-said").all_inner_texts()
    assert [text.strip() for text in said] == ["3", counted(3), "150", counted(150)]
    chat.page.reload()
    expect(chat.part("reply")).to_have_text(counted(150) + " ")
    expect(chat.part("send")).to_be_enabled()


def test_a_rejoined_reply_can_be_stopped(chat: Explorer) -> None:
    command_id = count(chat, ENDLESS)
    chat.page.reload()
    chat.record_growth()
    chat.wait_for_lengths(3)
    chat.stop()
    record = record_of(chat, command_id)
    assert record["stop_reason"] == "cancelled"
    assert chat.reply() == record["reply"].strip() != ""


def test_a_new_chat_is_forgotten_by_a_reload(chat: Explorer) -> None:
    command_id = count(chat, ENDLESS)
    chat.begin_anew()
    chat.page.reload()
    expect(chat.part("send")).to_be_enabled()
    expect(chat.part("log")).to_be_empty()
    assert record_of(chat, command_id)["state"] in ("cancelling", "cancelled")


def test_two_tabs_do_not_share_a_conversation(guest: Visitor, chat: Explorer, counting: ServerProcess) -> None:
    count(chat, ENDLESS)
    other = opened(guest, counting)
    expect(other.part("log")).to_be_empty()
    other.page.reload()
    expect(other.part("send")).to_be_enabled()
    expect(other.part("log")).to_be_empty()
    chat.stop()


def test_a_reply_that_the_server_does_not_know_ends_quietly(chat: Explorer) -> None:
    running = {"prompt": "Count!", "moduleId": MODULE, "commandId": "forgotten", "text": "1 2 3"}
    stored = kept_for_page(conversation=json.dumps({"history": [], "running": running}))
    # The page that is left writes its own conversation when it goes.
    chat.page.goto("about:blank")
    chat.page.add_init_script(
        f"if (self === top && !sessionStorage.getItem('seeded')) {{ sessionStorage.setItem('seeded', 1);"
        f" sessionStorage.setItem({json.dumps(PAGE_STORE)}, {json.dumps(stored)}); }}"
    )
    chat.open(f"#{MODULE}")
    chat.wait_for_state("unknown")
    assert chat.reply() == "1 2 3"
    expect(chat.part("log")).to_contain_text("no longer knows")
    expect(chat.part("error")).to_have_text("")
    expect(chat.part("send")).to_be_enabled()
    asked(chat, "5")
    chat.wait_for_state("completed")
    assert chat.reply() == counted(5)


def test_a_waiting_chat_tells_its_place(chat: Explorer, counting: ServerProcess) -> None:
    before = [counting.post("/v1/text/chat", prompt=ENDLESS)["commandId"] for _ in range(4)]
    status = chat.part("status")
    traffic = Traffic.of(chat.page)
    asked(chat, "20")
    for place in ("3 chats before", "2 chats before", "1 chat before", "yours is next"):
        expect(status).to_contain_text(place)
        counting.post(f"/v1/{MODULE}/cancel_command", commandId=before.pop())
    chat.wait_for_state("completed")
    expect(status).to_have_text("")
    assert chat.reply() == counted(20)
    assert len(traffic.streams) == 1  # not while it waited: a browser has few connections to one server


@pytest.mark.parametrize("way", ["streamed", "polled"])
def test_a_killed_and_restarted_server_loses_and_repeats_nothing(
    chat: Explorer, counting: ServerProcess, way: str
) -> None:
    if way == "polled":
        block(chat.page)
    traffic = Traffic.of(chat.page)
    command_id = count(chat, 200)
    counting.kill()
    expect(chat.part("status")).to_contain_text("does not answer")
    counting.start()
    chat.wait_for_state("completed")
    assert chat.reply() == counted(200)
    expect(chat.part("status")).to_have_text("")
    assert (len(traffic.polls) == 0) == (way == "streamed")
    assert {*traffic.streams, *traffic.polls} == {command_id}


@pytest.mark.parametrize("polled", [False, True])
def test_what_the_model_thinks_is_folded_above_its_answer(chat: Explorer, polled: bool) -> None:
    if polled:
        block(chat.page)
    asked(chat, f"{HOSTILE}|3")
    chat.wait_for_state("completed")
    assert chat.reply() == counted(3)
    thought = chat.inside().locator("details.lc-thought")
    expect(thought).to_have_count(1)
    expect(thought.locator("summary")).to_have_text("What the model thought")
    expect(thought.locator("div")).to_be_hidden()
    assert thought.evaluate("(element) => element.nextElementSibling.id") == f"{MODULE}_reply"
    thought.locator("summary").click()
    expect(thought.locator("div")).to_be_visible()
    expect(thought.locator("div")).to_have_text(HOSTILE)
    assert thought.locator("b").count() == 0


def test_thinking_without_an_answer_yet(chat: Explorer) -> None:
    asked(chat, "so?|3")
    thought = chat.inside().locator("details.lc-thought")
    expect(thought.locator("summary")).to_have_text("The model is thinking…")
    expect(chat.part("reply")).to_have_text("")
    chat.stop()
    expect(thought.locator("summary")).to_have_text("What the model thought")
    asked(chat, "2")
    chat.wait_for_state("completed")
    assert chat.reply() == counted(2)
    expect(thought).to_have_count(1)
