"""A data folder has one server: a second one is refused before it touches anything."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from server.data_folder import DataFolder, OccupiedError, occupied_by_another
from tests.support.server_process import ROOT, ServerProcess

_HOLDER = """
import errno, fcntl, sys
from pathlib import Path
from server.data_folder import DataFolder

def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")

if sys.argv[2] == "without":
    fcntl.flock = no_locks
folder = DataFolder(Path(sys.argv[1]))
folder.take("http://127.0.0.1:1234")
print("taken", flush=True)
sys.stdin.read()
"""


def second_server(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "--port", "0", "--data-dir", str(folder / "data")]
    command += ["--modules-dir", str(folder / "modules"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        found[str(path)] = (stat.st_size, stat.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


@pytest.fixture
def server(tmp_path: Path) -> ServerProcess:
    (tmp_path / "modules").mkdir()
    return ServerProcess(tmp_path, tmp_path / "modules")


def test_a_second_server_is_refused_with_the_address_of_the_first_and_touches_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    with server:
        assert server.process is not None
        (tmp_path / "data" / "uploads").mkdir(exist_ok=True)
        (tmp_path / "data" / "uploads" / "somebody's").write_text("upload")
        server.get("/v1/commands")
        before = contents(tmp_path / "data")
        second = second_server(tmp_path)
        assert second.returncode == 1
        assert f"at {server.url} (process {server.process.pid})" in second.stderr
        assert str(tmp_path / "data") in second.stderr
        assert "Traceback" not in second.stderr
        assert contents(tmp_path / "data") == before
        assert server.get("/v1/commands")["total"] == 0


def test_a_killed_server_leaves_no_lock(server: ServerProcess) -> None:
    server.start()
    server.kill()
    with server:
        assert server.get("/v1/status/ping")["success"] is True


def test_a_stopped_server_leaves_no_note(server: ServerProcess, tmp_path: Path) -> None:
    with server:
        note = json.loads((tmp_path / "data" / "server.json").read_text())
        assert note["address"] == server.url
    assert not (tmp_path / "data" / "server.json").exists()
    assert occupied_by_another(tmp_path / "data") == ""


def test_modules_can_be_installed_beside_a_running_server(server: ServerProcess, tmp_path: Path) -> None:
    with server:
        done = second_server(tmp_path, "--install-modules")
        assert (done.returncode, done.stderr) == (0, "")


def test_a_server_of_an_earlier_version_is_noticed_by_what_it_has_launched(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as earlier:
        identity = {"pid": earlier.pid, "create_time": psutil.Process(earlier.pid).create_time()}
        record = tmp_path / "data" / "launched" / f"{earlier.pid}.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"server": identity, "launches": []}))
        refused = second_server(tmp_path)
        assert refused.returncode == 1
        assert f"(process {earlier.pid})" in refused.stderr
        assert not (tmp_path / "data" / "logs").exists()
        earlier.kill()
    folder = DataFolder(tmp_path / "data")
    folder.take()
    folder.release()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    refused = second_server(tmp_path)
    assert refused.returncode == 1
    assert f"The data folder {tmp_path / 'data'} cannot be used" in refused.stderr
    assert "--data-dir" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("locks", ["with", "without"])
def test_the_lock_of_a_process_that_died_does_not_count(
    tmp_path: Path, locks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if locks == "without":
        monkeypatch.setattr(fcntl, "flock", no_locks)
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "data"), locks]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        expected = f"Another server at http://127.0.0.1:1234 \\(process {holder.pid}\\)"
        with pytest.raises(OccupiedError, match=expected):
            DataFolder(tmp_path / "data").take()
        assert "http://127.0.0.1:1234" in occupied_by_another(tmp_path / "data")
        holder.kill()
    folder = DataFolder(tmp_path / "data")
    folder.take()
    assert str(tmp_path / "data") in occupied_by_another(tmp_path / "data")
    folder.release()
    assert occupied_by_another(tmp_path / "data") == ""
