"""The disk of the data folder is full: long commands are refused or end with the reason, all else goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos_server import TALKER
from tests.support.server_process import ROOT, ServerProcess, wait_until

DISK = "12m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a small file system of its own."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs root on Linux, to mount a small file system")
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(tmp_path: Path, disk: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, TALKER.parent, MILLRACE_DRAIN="0") as running:
        running.wait_ready("Talker")
        yield running


def fill(disk: Path) -> Path:
    """Leave not a byte free."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (64 * 1024, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def count(server: ServerProcess, **values: object) -> dict[str, Any]:
    answer: dict[str, Any] = server.post("/v1/talker/count", **values)
    return answer


def refused(server: ServerProcess, accepted: list[str]) -> dict[str, Any]:
    """Start long commands, as long as what is there already has room for them, until one is refused."""

    def ask() -> dict[str, Any] | None:
        answer = count(server, name="y" * 1000, to=50, pause=0)
        if answer["success"]:
            accepted.append(answer["commandId"])
            return None
        return answer if answer.get("code") == 503 else None

    return wait_until("a long command is refused", ask)


def test_a_full_disk_refuses_and_ends_what_it_cannot_keep_and_is_got_over(server: ServerProcess, disk: Path) -> None:
    before = count(server, to=3)["commandId"]
    assert server.wait_ended("Talker", before)["reply"] == "1 2 3 "
    running = count(server, name="z" * 2000, to=100_000, pause=0.001)["commandId"]
    wait_until("it runs", lambda: server.poll("Talker", running).get("reply"))
    ballast = fill(disk)

    body = server.wait_ended("Talker", running)
    assert (body["success"], body["reason"]) == (False, "storage_full")
    assert "Free some space" in body["error"]
    accepted = [before, running]
    answer = refused(server, accepted)
    assert "cannot write to" in answer["error"]
    assert "commandId" not in answer
    for command_id in accepted:
        assert server.wait_ended("Talker", command_id)["commandStatus"] == "completed"
    assert {record["id"] for record in server.get("/v1/commands?limit=100")["commands"]} == set(accepted)
    for _ in range(5):
        assert server.post("/v1/talker/echo", a="b")["values"] == {"a": "b"}

    ballast.unlink()
    again = wait_until("a long command is accepted", lambda: count(server, to=3).get("commandId"))
    assert server.wait_ended("Talker", again)["reply"] == "1 2 3 "
    server.kill()
    server.start()
    server.wait_ready("Talker")
    assert server.poll("Talker", again)["reply"] == "1 2 3 "
    assert server.poll("Talker", running)["reason"] in ("storage_full", "server_restart")
    assert server.wait_ended("Talker", count(server, to=2)["commandId"])["reply"] == "1 2 "


def test_a_module_that_dies_while_the_disk_is_full_comes_back_when_there_is_space(
    server: ServerProcess, disk: Path
) -> None:
    ballast = fill(disk)
    os.kill(server.post("/v1/talker/echo")["pid"], signal.SIGKILL)
    wait_until("it says why", lambda: "could not be noted" in (server.module("Talker")["stateReason"] or ""))
    assert server.wait_state("Talker", "Backoff")["status"] == "Restarting"
    ballast.unlink()
    server.wait_ready("Talker")
    assert server.post("/v1/talker/echo", a="b")["success"] is True


def test_a_server_that_starts_on_a_full_disk_says_so(tmp_path: Path, disk: Path) -> None:
    fill(disk)
    command = [sys.executable, "-m", "server", "--port", "0", "--data-dir", str(disk), "--modules-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"No space left|Free some space", done.stderr), done.stderr
