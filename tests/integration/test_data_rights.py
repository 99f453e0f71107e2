"""What people ask and are told is nobody else's: every file of the data folder is this user's alone."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.private_files import make_private
from tests.support.chaos_server import TALKER
from tests.support.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has rights of its own")


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [f"{path} {path.stat().st_mode:o}" for path in paths if path.stat().st_mode & 0o077]


def old_folder(folder: Path) -> None:
    """A data folder of an earlier version, which anybody could read."""
    for name in (
        "records/ab/cd/x.val",
        "records/cache.db",
        "records/events-a.journal",
        "uploads/x",
        "logs/millrace.log",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def test_everything_in_the_data_folder_is_private_whatever_the_umask(umask: None, tmp_path: Path) -> None:
    old_folder(tmp_path / "data")
    with ServerProcess(tmp_path, TALKER.parent) as server:
        server.wait_ready("Talker")
        assert open_to_others(tmp_path / "data") == []
        large = os.urandom(100_000).hex()
        command_id = server.post("/v1/talker/count", to=3, name=large)["commandId"]
        server.wait_ended("Talker", command_id)
        assert wait_until("a file for a large row", lambda: list((tmp_path / "data" / "records").glob("??/*/*.val")))
        assert (tmp_path / "data" / "records" / "cache.db-wal").exists()
        assert open_to_others(tmp_path / "data") == []
    assert open_to_others(tmp_path / "data") == []


def test_a_program_stays_one_and_links_and_environments_stay_as_they_are(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for name in ("program", "environments/M/python"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch(0o755)
        (data / name).chmod(0o755)
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (data / "link").symlink_to(elsewhere)
    assert make_private(data, {data / "environments"}) == []
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (data / "program", data / "environments/M/python", elsewhere)
    ]
    assert modes == [0o700, 0o755, 0o644]


NOTES = {"launched/1.json": '{"server": 5}', "launched/2.json": "[" * 10_000, "routes.json": '{"a": 1}'}


def test_notes_that_cannot_be_read_are_set_aside_and_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, text in NOTES.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    for name in ("launched/3.json", "server.lock", "server.json", "logs/millrace.log"):
        (data / name).mkdir(parents=True)
    (tmp_path / "modules").mkdir()
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        said = "\n".join(server.output)
        for name in (*NOTES, "launched/3.json", "server.lock", "server.json", "logs/millrace.log"):
            assert str(data / name) in said, f"{name} is not named in {said}"
            assert (data / f"{name}.damaged-1").exists()
    assert server.process is None or server.process.returncode == 0
