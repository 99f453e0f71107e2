"""What the chat page keeps, sends and says: options, unsent text, failures, limits, a last question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Locator, expect

from tests.support.browser_chat import PAGE_STORE, asked, counted, kept_for_page, record_of
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import LAPTOP, TALL_PHONE, Visitor, visitor
from tests.support.server_process import ServerProcess

ENDLESS = "1000000"


@pytest.fixture
def chat(guest: Visitor, counting: ServerProcess) -> Iterator[Explorer]:
    explorer = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
    explorer.inside()
    yield explorer
    for command in counting.get("/v1/commands?state=live&brief=true")["commands"]:
        counting.post(f"/v1/commands/{command['id']}/cancel")


def sent(chat: Explorer, command_id: str) -> dict[str, Any]:
    """What the module got with a command that has ended."""
    fields: dict[str, Any] = record_of(chat, command_id)["sent"]
    return fields


def answered(chat: Explorer, prompt: str) -> dict[str, Any]:
    """Asks, waits for the whole reply, and returns what the module got."""
    command_id = asked(chat, prompt)
    chat.wait_for_state("completed")
    return sent(chat, command_id)


def said(chat: Explorer) -> list[str]:
    return [text.strip() for text in chat.inside().locator(f"#{MODULE}_log .lc-said").all_inner_texts()]


def open_options(chat: Explorer) -> None:
    chat.inside().locator("summary", has_text="Options").first.click()


def note_button(chat: Explorer, name: str) -> Locator:
    return chat.inside().locator(f"#{MODULE}_log").get_by_role("button", name=name)


def test_a_length_is_sent_unless_it_is_changed(chat: Explorer) -> None:
    assert answered(chat, "2")["max_tokens"] == "1024"
    open_options(chat)
    chat.part("maxTokens").fill("7")
    assert answered(chat, "2")["max_tokens"] == "7"
    chat.part("maxTokens").fill("0")
    assert answered(chat, "2")["max_tokens"] == "0"
    chat.part("maxTokens").fill("")
    assert answered(chat, "2")["max_tokens"] == "1024"


def test_options_are_kept_for_the_next_visit(chat: Explorer, guest: Visitor, counting: ServerProcess) -> None:
    open_options(chat)
    chat.part("systemPrompt").fill("Be brief.")
    chat.part("temperature").fill("1.25")
    chat.part("maxTokens").fill("99")
    chat.page.reload()
    wanted = {"system_prompt": "Be brief.", "temperature": "1.25", "max_tokens": "99"}
    fields = answered(chat, "2")
    assert {name: fields[name] for name in wanted} == wanted
    chat.page.close()
    another = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
    expect(another.part("systemPrompt")).to_have_value("Be brief.")


@pytest.mark.parametrize(
    "kept", ["no JSON", "null", "7", '{"temperature": "hot", "maxTokens": "-3", "systemPrompt": {}}', "[5]"]
)
def test_kept_options_that_make_no_sense_are_passed_over(chat: Explorer, kept: str) -> None:
    chat.page.evaluate("([key, value]) => localStorage.setItem(key, value)", [PAGE_STORE, kept_for_page(options=kept)])
    chat.page.reload()
    fields = answered(chat, "2")
    assert (fields["temperature"], fields["max_tokens"], fields["system_prompt"]) == ("0.4", "1024", None)


def test_a_browser_without_storage_is_good_enough(guest: Visitor, counting: ServerProcess) -> None:
    page = guest.tab()
    blocked = "{ get() { throw new DOMException('blocked', 'SecurityError'); } }"
    for name in ("localStorage", "sessionStorage"):
        page.add_init_script(f"Object.defineProperty(window, '{name}', {blocked});")
    chat = Explorer(page, counting.url).open(f"#{MODULE}")
    chat.inside()
    open_options(chat)
    chat.part("maxTokens").fill("12")
    assert answered(chat, "2")["max_tokens"] == "12"
    assert guest.complaints.texts == []


def test_what_is_written_while_the_model_answers_stays_and_is_sent_later(chat: Explorer) -> None:
    asked(chat, ENDLESS)
    chat.part("prompt").fill("3")
    chat.part("prompt").press("Enter")
    expect(chat.part("hint")).to_contain_text("still answering")
    expect(chat.part("prompt")).to_have_value("3")
    chat.page.reload()
    expect(chat.part("prompt")).to_have_value("3")
    chat.stop()
    expect(chat.part("hint")).to_have_text("")
    chat.part("prompt").press("Enter")
    chat.wait_for_state("completed")
    assert chat.reply() == counted(3)


def test_a_message_that_failed_is_sent_again_once(chat: Explorer) -> None:
    answered(chat, "2")
    asked(chat, "fail 4")
    chat.wait_for_state("failed")
    expect(chat.part("error")).to_have_text("It broke.")
    expect(chat.part("log")).to_contain_text("Not answered, and not part of the conversation.")
    expect(chat.part("prompt")).to_have_value("fail 4")
    chat.part("prompt").press("Enter")
    expect(chat.part("prompt")).to_have_value("")
    chat.wait_for_state("failed")
    assert said(chat) == ["2", counted(2), "fail 4", counted(4)]
    history = answered(chat, "3")["history"]
    assert [prompt for prompt, _ in json.loads(history)] == ["2"]
    chat.page.reload()
    assert said(chat) == ["2", counted(2), "3", counted(3)]


def test_a_message_that_could_not_be_sent_is_not_lost(chat: Explorer) -> None:
    chat.page.route("**/v1/text/chat", lambda route: route.abort())
    chat.send("4")
    chat.wait_for_state("failed")
    expect(chat.part("prompt")).to_have_value("4")
    chat.page.reload()
    expect(chat.part("prompt")).to_have_value("4")
    chat.page.unroute("**/v1/text/chat")
    chat.part("prompt").press("Enter")
    chat.wait_for_state("completed")
    assert said(chat) == ["4", counted(4)]


def test_a_new_chat_asks_first(chat: Explorer) -> None:
    asked(chat, "2")
    chat.wait_for_state("completed")
    questions: list[str] = []

    def refuse(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.dismiss()

    chat.page.once("dialog", refuse)
    chat.part("clear").click()
    assert len(questions) == 1
    assert said(chat) == ["2", counted(2)]
    chat.begin_anew()
    expect(chat.part("log")).to_be_empty()
    chat.part("clear").click()  # nothing to lose: nothing is asked
    expect(chat.part("prompt")).to_be_focused()


def test_a_reply_that_reached_its_length_says_so_and_goes_on(chat: Explorer) -> None:
    open_options(chat)
    chat.part("maxTokens").fill("5")
    answered(chat, "cut 5")
    expect(chat.part("log")).to_contain_text("Cut off after 5 tokens, the longest reply that the options allow.")
    note_button(chat, "Continue").click()
    chat.wait_for_state("completed")
    expect(chat.inside().locator(f"#{MODULE}_log .lc-user")).to_have_count(2)
    expect(note_button(chat, "Continue")).to_have_count(0)
    newest = chat.page.request.get(f"{chat.url}/v1/commands?limit=1").json()["commands"][0]
    assert json.loads(newest["result"]["sent"]["history"]) == [["cut 5", counted(5) + " "]]


def test_a_conversation_that_fills_the_context_goes_on_without_its_beginning(chat: Explorer) -> None:
    answered(chat, "2")
    answered(chat, "cut 3")  # of 1024: it was the context that ended it
    expect(chat.part("log")).to_contain_text("fills all that the model can read")
    chat.send("full 4")
    chat.wait_for_state("failed")
    expect(chat.part("error")).to_have_text("That is too much.")
    note_button(chat, "Go on without the oldest messages").click()
    chat.wait_for_state("completed")
    assert said(chat) == ["2", counted(2), "cut 3", counted(3), "full 4", counted(4)]
    expect(chat.part("log")).to_contain_text("no longer sees what was said first: 1 message")
    chat.page.reload()
    history = json.loads(answered(chat, "5")["history"])
    assert [prompt for prompt, _ in history] == ["cut 3", "full 4"]


@pytest.mark.parametrize("size", [LAPTOP, TALL_PHONE])
def test_all_that_is_said_fits_its_window(browser: Browser, counting: ServerProcess, size: tuple[int, int]) -> None:
    with visitor(browser, size=size) as guest:
        chat = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
        chat.inside()
        asked(chat, "x" * 300 + " 2")
        chat.wait_for_state("completed")
        asked(chat, "cut 2")
        chat.wait_for_state("completed")
        wider = "() => document.documentElement.scrollWidth - window.innerWidth"
        assert (chat.inside().evaluate(wider), chat.page.evaluate(wider)) == (0, 0)
        assert chat.part("log").evaluate("(log) => log.scrollWidth - log.clientWidth") == 0
