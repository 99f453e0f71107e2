"""``python -m server check``: what is in a data folder, and whether all of it can be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chaos_server import TALKER
from tests.support.server_process import ROOT, ServerProcess


def check(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "server", "check", "--data-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but those by which readers of a database know of each other."""
    files = (
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".db-shm", ".db-wal")
    )
    return {str(path): path.read_bytes() for path in files}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What a server leaves that was stopped after one command."""
    with ServerProcess(tmp_path, TALKER.parent) as server:
        server.wait_ready("Talker")
        server.wait_ended("Talker", server.post("/v1/talker/count", to=3)["commandId"])
        status, said = check(tmp_path / "data")
        assert status == 0
        assert f"Another server at {server.url}" in said
        assert "commands: 1 (1 completed)" in said
    return tmp_path / "data"


def test_a_folder_is_looked_at_and_stays_as_it_is(data: Path) -> None:
    before = contents(data)
    status, said = check(data)
    assert status == 0, said
    assert "commands: 1 (1 completed)" in said
    assert "uploads: 0" in said
    assert contents(data) == before


def test_damage_is_named_and_stays_for_the_next_start(data: Path) -> None:
    (data / "uploads").mkdir(exist_ok=True)
    (data / "uploads" / "stray").write_bytes(b"x")
    (data / "routes.json").write_text("[]")
    (data / "launched").mkdir(exist_ok=True)
    (data / "launched" / "1.json").write_text("{")
    (data / "records" / "events-a.journal").write_bytes(b"nonsense\n")
    with (data / "records" / "cache.db").open("r+b") as database:
        database.truncate(5000)
    before = contents(data)
    status, said = check(data)
    assert status == 1
    for name in ("routes.json", "1.json", "events-a.journal", "cache.db"):
        assert f"{name} " in said, said
    assert "1 of them of no command" in said
    assert contents(data) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    status, said = check(tmp_path / "none")
    assert (status, (tmp_path / "none").exists()) == (1, False)
    assert "There is no data folder" in said
