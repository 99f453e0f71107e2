"""``python -m server keys`` beside a running server: a key is taken up, shown once, and never written down."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.server_process import ROOT, ServerProcess, wait_until


def keys(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "keys", *arguments, "--data-dir", str(data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def status(server: ServerProcess, key: str = "") -> int:
    request = urllib.request.Request(f"{server.url}/v1/commands", headers={"X-API-Key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_running_server_takes_up_keys_and_drops_them(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        assert status(server) == 200
        added = keys((server.folder / "data"), "add", "ann", "--administrator")
        key = added.stdout.strip()
        assert (added.returncode, key.startswith("mrk_")) == (0, True)
        wait_until("keys are needed", lambda: status(server) == 401)
        assert status(server, key) == 200
        listed = keys((server.folder / "data"), "list").stdout
        assert ("ann" in listed, "administrator" in listed, key in listed) == (True, True, False)
        assert keys((server.folder / "data"), "remove", "ann").returncode == 0
        wait_until("no keys are needed", lambda: status(server) == 200)
        assert keys((server.folder / "data"), "remove", "ann").returncode == 1
        assert keys((server.folder / "data"), "add", " ").returncode == 2
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_a_damaged_key_file_is_named_and_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    for arguments in (("list",), ("add", "ann"), ("remove", "ann")):
        done = keys(tmp_path, *arguments)
        assert (done.returncode, str(tmp_path / "keys.json") in done.stderr) == (1, True)
    assert (tmp_path / "keys.json").read_text() == "{"
