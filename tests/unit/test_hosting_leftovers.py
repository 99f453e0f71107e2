"""Damaged notes of what earlier servers have launched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.hosting.process.leftovers import LaunchRecord, living_server

NOBODY = {"pid": 2**40, "create_time": 1.0}


def noted(pid: int) -> dict[str, object]:
    return {"pid": pid, "create_time": 1.0, "after_boot": 1.0}


@pytest.mark.parametrize(
    "note",
    [
        {"server": noted(-5), "launches": []},
        {"server": NOBODY, "launches": [{"launch_id": "a", "secret": "s", "process": noted(-1)}]},
        {"server": NOBODY, "launches": [{"launch_id": "a", "secret": "s", "process": noted(2**70)}]},
        [],
    ],
    ids=["no server", "no process", "no number", "no note"],
)
def test_a_damaged_note_keeps_no_server_from_starting(tmp_path: Path, note: object) -> None:
    path = tmp_path / "launched" / "0.json"
    path.parent.mkdir()
    path.write_text(json.dumps(note), encoding="utf-8")
    assert living_server(tmp_path) is None
    assert LaunchRecord(tmp_path).take_leftovers() == ([], 0)
    assert not path.exists()
