"""LlamaChat's page inside the explorer: send, watch it grow, stop, send again, two tabs, hostile texts."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.support.browser_chat import EVENTS, Traffic, asked, record_of
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import Visitor

HOSTILE = '<img src=x onerror="top.attacked = true"><script>top.attacked = true</script><b>bold</b>'


def was_attacked(explorer: Explorer) -> bool:
    attacked: bool = explorer.page.evaluate("() => Boolean(window.attacked)")
    return attacked


def test_a_reply_grows_while_it_is_watched(explorer: Explorer) -> None:
    explorer.make_replies_long()
    explorer.record_growth()
    command_id = asked(explorer, "What is a module?")
    explorer.wait_for_lengths(3)
    explorer.stop()
    lengths = explorer.seen_lengths()
    assert lengths == sorted(set(lengths))
    assert explorer.reply() == record_of(explorer, command_id)["reply"].strip()


def test_a_short_reply_is_the_models_own(explorer: Explorer) -> None:
    command_id = asked(explorer, "What is a module?")
    explorer.wait_for_state("completed")
    assert explorer.reply()
    assert explorer.reply() == record_of(explorer, command_id)["reply"].strip()
    expect(explorer.part("error")).to_have_text("")


def test_a_long_reply_can_be_stopped_and_the_next_is_not_affected(explorer: Explorer) -> None:
    explorer.make_replies_long()
    explorer.record_growth()
    stopped = asked(explorer, "Tell me everything about modules.")
    explorer.wait_for_lengths(1)
    explorer.stop()
    expect(explorer.part("send")).to_be_enabled()
    assert record_of(explorer, stopped)["stop_reason"] == "cancelled"
    explorer.end_long_replies()
    again = asked(explorer, "How do I cancel a command?")
    explorer.wait_for_state("completed")
    assert again != stopped
    assert explorer.reply() == record_of(explorer, again)["reply"].strip() != ""


def test_two_tabs_each_get_their_own_whole_reply(guest: Visitor, server_url: str) -> None:
    one, two = (Explorer(guest.tab(), server_url).open("#LlamaChat") for _ in range(2))
    seen = (Traffic.of(one.page), Traffic.of(two.page))
    for tab in (one, two):
        tab.make_replies_long(300)
    commands = (asked(one, "What is a module?"), asked(two, "How do I cancel a command?"))
    for tab, command_id, traffic in zip((one, two), commands, seen, strict=True):
        tab.wait_for_state("completed")
        assert tab.reply() == record_of(tab, command_id)["reply"].strip() != ""
        assert {*traffic.streams, *traffic.polls} == {command_id}
    assert one.reply() != two.reply()


def test_html_in_a_prompt_is_text(explorer: Explorer) -> None:
    asked(explorer, HOSTILE)
    explorer.wait_for_state("completed")
    assert explorer.inside().locator("b", has_text="bold").count() == 0
    assert not was_attacked(explorer)


@pytest.mark.parametrize("way", ["streamed", "polled"])
def test_html_in_a_reply_is_text(explorer: Explorer, way: str) -> None:
    if way == "streamed":
        end = {"state": "completed", "result": {"reply": HOSTILE}}
        body = f"id: 1\nevent: delta\ndata: {json.dumps({'text': HOSTILE})}\n\n"
        body += f"id: 2\nevent: result\ndata: {json.dumps(end)}\n\n"
        explorer.page.route(EVENTS, lambda route: route.fulfill(content_type="text/event-stream", body=body))
    else:
        explorer.page.route(EVENTS, lambda route: route.abort())
        explorer.alter(f"{MODULE}/get_command_status", lambda answer: answer.update(reply=HOSTILE))
    asked(explorer, "What is a module?")
    explorer.wait_for_state("completed")
    assert explorer.reply() == HOSTILE
    assert explorer.part("reply").locator("img, script, b").count() == 0
    assert not was_attacked(explorer)


def test_a_reply_goes_on_while_another_view_is_open(explorer: Explorer) -> None:
    explorer.make_replies_long()
    explorer.record_growth()
    command_id = asked(explorer, "What is a module?")
    explorer.wait_for_lengths(1)
    explorer.page.locator("#log-link").click()
    expect(explorer.panel()).to_be_hidden()
    explorer.wait_for_lengths(len(explorer.seen_lengths()) + 2)
    explorer.list_entry(MODULE).click()
    explorer.stop()
    assert explorer.reply() == record_of(explorer, command_id)["reply"].strip()


def test_the_page_works_after_a_reload(explorer: Explorer) -> None:
    asked(explorer, "What is a module?")
    explorer.wait_for_state("completed")
    explorer.page.reload()
    asked(explorer, "How do I cancel a command?")
    explorer.wait_for_state("completed")
    assert explorer.reply()
