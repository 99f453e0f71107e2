from __future__ import annotations

import sys

import pytest

from server.hosting.process.module_log import ModuleLog, split_level
from server.hosting.process.output_lines import LINES_PER_READ, LineSplitter, RateLimit
from server.log_book import LogBook


def test_lines_come_out_whole_however_they_arrive() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed("o é\r\nthr".encode()) == ["two é"]
    assert splitter.feed(b"ee\r50%\r100%\n\n") == ["three", "50%", "100%"]
    assert splitter.end() == []
    assert splitter.feed(b"last") == []
    assert splitter.end() == ["last"]


def test_a_character_in_two_pieces() -> None:
    splitter = LineSplitter()
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert splitter.feed(first) == []
    assert splitter.feed(second + b"\n") == ["é"]


def test_bytes_that_are_no_text_are_shown_anyway() -> None:
    assert LineSplitter().feed(b"\xff\xfe\n") == ["\ufffd\ufffd"]


def test_a_line_without_end_is_cut_and_counted_and_keeps_no_memory() -> None:
    splitter = LineSplitter(max_bytes=10)
    for _ in range(1000):
        assert splitter.feed(b"0123456789") == []
        assert len(splitter._rest) <= 10
    assert splitter.feed(b"\nnext\n") == ["0123456789 … (9990 more bytes)", "next"]


def test_a_long_line_that_comes_at_once_is_cut_too() -> None:
    assert LineSplitter(max_bytes=3).feed(b"abcdef\nxy\n") == ["abc … (3 more bytes)", "xy"]


@pytest.mark.parametrize("flood", [b"\r", b"\n", b"\r\n", b"a\r", b" \r\n", b"ab\n"])
def test_a_flood_of_line_ends_is_little_work(flood: bytes) -> None:
    """Counted in calls of functions, because clocks depend on the machine."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    splitter = LineSplitter()
    chunk = flood * (65536 // len(flood))
    lines: list[str] = []
    sys.setprofile(count)
    try:
        for _ in range(8):
            lines += splitter.feed(chunk)
    finally:
        sys.setprofile(None)
    assert calls < 8 * 10 * (LINES_PER_READ + 10)
    assert len(lines) <= 8 * (LINES_PER_READ + 1)
    if not flood.strip(b"\r\n"):
        assert (lines, calls < 1000) == ([], True)


def test_of_many_lines_at_once_the_first_and_the_last_stay() -> None:
    splitter = LineSplitter()
    lines = splitter.feed(b"".join(b"%d\r" % number for number in range(10_000)) + b"rest")
    assert lines[:2] == ["0", "1"]
    assert lines[-2:] == ["9998", "9999"]
    assert len(lines) == LINES_PER_READ
    (gap,) = [number for number, line in enumerate(lines) if "left out" in line]
    assert lines[gap] == f"… {10_000 - LINES_PER_READ + 1} lines left out"
    assert int(lines[gap + 1]) - int(lines[gap - 1]) - 1 == 10_000 - LINES_PER_READ + 1
    assert splitter.feed(b" of it\n") == ["rest of it"]


def test_the_rate_is_limited_and_what_was_dropped_is_told() -> None:
    now = [10.0]
    told: list[int] = []
    limit = RateLimit(3, lambda: now[0], told.append)
    assert [limit.allows() for _ in range(5)] == [True, True, True, False, False]
    assert told == []
    now[0] = 11.5
    assert limit.allows()
    assert told == [2]
    limit.end()
    assert told == [2]


@pytest.mark.parametrize(
    ("line", "stderr", "expected"),
    [
        ("Warn: low memory", False, ("warning", "low memory")),
        ("critical: gone", True, ("critical", "gone")),
        ("dbg: x", True, ("debug", "x")),
        ("plain", False, ("information", "plain")),
        ("plain", True, ("error", "plain")),
        ("warning without a colon", False, ("information", "warning without a colon")),
    ],
)
def test_levels(line: str, stderr: bool, expected: tuple[str, str]) -> None:
    assert split_level(line, stderr) == expected


async def test_the_log_of_a_module() -> None:
    book = LogBook()
    log = ModuleLog(book, "Mine")
    for number in range(250):
        log.line(f"line {number}", False)
    log.line("ValueError: no", True)
    log.end_of_output()
    assert log.last_lines[-1] == "ValueError: no"
    assert len(log.last_lines) == 200
    assert log.last_error == "ValueError: no"
    entries = book.after(0, 1000)
    assert entries[0].entry == "Mine: line 0"
    assert any("more lines were left out" in entry.entry for entry in entries)
    log.new_process()
    assert log.last_error == ""
