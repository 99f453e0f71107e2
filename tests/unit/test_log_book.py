"""What modules and clients write into the log can neither fill it nor pass for somebody else's entry."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from server.log_book import KEPT_CHARACTERS, KEPT_ENTRIES, LogBook, configure_logging
from tests.support.api_server import running_api


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "millrace")
    return caplog


def test_a_category_or_label_is_one_short_line(written: pytest.LogCaptureFixture) -> None:
    log = LogBook()
    log.add("x", "info", "Module\r\n12:00:00 E Server: forged", "l" * 100_000_000)
    (entry,) = log.after(0, 10)
    assert entry.category == "Module\\r\\n12:00:00 E Server: forged"
    assert entry.label == "l" * 100 + "…"
    assert entry.entry == f"{entry.category}: x"
    assert written.messages == [entry.entry]


def test_the_lines_of_an_entry_stand_apart_in_the_file(written: pytest.LogCaptureFixture) -> None:
    log = LogBook()
    log.add("Traceback:\n12:00:00 E Server: forged\r\x1b[2Jgone\x07\u2028", "error", "Demo")
    assert written.messages == ["Demo: Traceback:\n    12:00:00 E Server: forged\\rgone\\x07\\u2028"]
    assert log.after(0, 1)[0].entry.startswith("Demo: Traceback:\n12:00:00")


def test_all_entries_together_are_no_more_than_one_answer_can_hold() -> None:
    log = LogBook()
    log.add("first")
    for _ in range(1000):
        log.add("x" * 1_000_000)
    kept = log.after(0, KEPT_ENTRIES)
    assert kept[-1].id == 1001
    assert kept[0].id > 1
    assert sum(len(entry.entry) for entry in kept) <= KEPT_CHARACTERS


async def test_a_post_to_the_log_is_bounded(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (api, client):
        fields = {"entry": "x", "category": "c\nd", "label": "l" * 1000}
        async with client.post("/v1/log", data=fields) as answer:
            assert answer.status == 200
        async with client.post("/v1/log", data={"entry": "x" * 300_000}) as answer:
            assert answer.status == 413
        (entry,) = [entry for entry in api.log.after(0, 10) if entry.category == "c\\nd"]
        assert len(entry.label) == 101


def test_the_log_file_takes_what_utf_8_cannot_write(tmp_path: Path) -> None:
    logger = logging.getLogger("millrace")
    before, propagates = list(logger.handlers), logger.propagate
    try:
        configure_logging(tmp_path)
        LogBook().add("Grüße \ud800", "info", "\udfff", "")
    finally:
        for handler in [handler for handler in logger.handlers if handler not in before]:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = propagates
    assert "Grüße \ufffd" in (tmp_path / "millrace.log").read_text(encoding="utf-8")
