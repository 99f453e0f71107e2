from __future__ import annotations

import os
from pathlib import Path

from installer.logs import KEPT, last_lines, new_log


def test_two_logs_of_the_same_second_have_different_names(tmp_path: Path) -> None:
    logs = {new_log(tmp_path / "logs", "pip") for _ in range(5)}
    assert len(logs) == 5
    assert all(log.exists() for log in logs)


def test_only_the_newest_logs_stay(tmp_path: Path) -> None:
    for number in range(KEPT + 10):
        old = tmp_path / f"install-20200101-000000-{number}.log"
        old.touch()
        os.utime(old, (number, number))
    others = tmp_path / "millrace.log"
    others.touch()
    os.utime(others, (0, 0))
    newest = new_log(tmp_path, "pip")
    names = {path.name for path in tmp_path.glob("install-*.log")}
    assert len(names) == KEPT
    assert newest.name in names
    assert f"install-20200101-000000-{KEPT + 9}.log" in names
    assert others.exists()


def test_last_lines_leaves_out_empty_ones_and_reads_progress_bars(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n\n 10%\r 50%\r100%\n\nend \xff\n")
    assert last_lines(log, 2) == "    100%\n    end \N{REPLACEMENT CHARACTER}"
