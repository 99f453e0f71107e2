"""``python -m server modules run``: a module that somebody starts beside the server, and the end of its commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.hosting_modules import write_module
from tests.support.server_process import ROOT, ServerProcess, wait_until

SLOW = """
import os
import time

from codeproject_ai_sdk import ModuleRunner, RequestData


class Slow(ModuleRunner):
    def process(self, data: RequestData):
        if data.command == "quick":
            return {"success": True, "pid": os.getpid(), "launched": self.launched_by_server}
        return self.slow

    def slow(self, data: RequestData):
        data.reply.write("begun")
        time.sleep(600)


if __name__ == "__main__":
    Slow().start_loop()
"""
POLLS = """
import json
import os
import urllib.request

BASE = f"http://localhost:{os.environ['CPAI_PORT']}/v1/queue"
assert "MILLRACE_CHANNEL_URL" not in os.environ
while True:
    with urllib.request.urlopen(f"{BASE}/{os.environ['CPAI_MODULE_QUEUENAME']}?moduleId=Polls", timeout=15) as answered:
        body = answered.read()
    if body:
        answer = json.dumps({"success": True, "pid": os.getpid()}).encode()
        urllib.request.urlopen(f"{BASE}/{json.loads(body)['reqid']}", answer, timeout=15).close()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("by-hand")
    routes = [{"Route": "test/quick", "Command": "quick"}, {"Route": "test/slow", "Command": "slow"}]
    write_module(folder / "modules", "Slow", SLOW, RouteMaps=routes)
    launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System", "Sdk": "Published"}
    write_module(folder / "modules", "Polls", POLLS, LaunchSettings=launch)
    keys = "anna=anna-key"  # so that nobody is believed just because it is on this machine
    with ServerProcess(folder, folder / "modules", MILLRACE_LAUNCH_MODULES="false", MILLRACE_API_KEYS=keys) as running:
        yield running


@contextlib.contextmanager
def started(server: ServerProcess, name: str) -> Iterator[subprocess.Popen[str]]:
    """Start a module by hand."""
    folders = ["--data-dir", str(server.folder / "data"), "--modules-dir", str(server.modules)]
    command = [sys.executable, "-m", "server", "modules", "run", name, *folders]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def post(server: ServerProcess, path: str) -> dict[str, object]:
    body: dict[str, object] = json.loads(server.call(path, b"a=b", {"X-API-Key": "anna-key"})[1])
    return body


def notes(server: ServerProcess) -> list[Path]:
    return sorted((server.folder / "data" / "started_by_hand").glob("*"))


def test_a_module_of_either_sdk_serves_until_it_is_stopped(server: ServerProcess) -> None:
    for name, path in (("Slow", "/v1/test/quick"), ("Polls", "/v1/test/polls")):
        with started(server, str(server.modules / name)) as process:
            answer = post(server, path)
            assert answer["success"] is True, answer
            assert psutil.Process(int(str(answer["pid"]))).ppid() == process.pid
            assert answer.get("launched", False) is False
            assert [note.stat().st_mode & 0o777 for note in notes(server)] == [0o600]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, 130, 143)
        assert not psutil.pid_exists(int(str(answer["pid"])))
        assert notes(server) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_what_it_ran_when_it_was_killed_ends_or_runs_again(server: ServerProcess) -> None:
    with started(server, "Slow") as process:
        command_id = str(post(server, "/v1/test/slow")["commandId"])
        path = f"/v1/commands/{command_id}"

        def record() -> dict[str, object]:
            found: dict[str, object] = json.loads(server.call(path, headers={"X-API-Key": "anna-key"})[1])
            return found

        wait_until("it has begun", lambda: "begun" in str(record().get("text")))
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for member in family:
            member.kill()
        wait_until("it has ended", lambda: record()["state"] == "failed")
        assert record()["reason"] == "module_lost"


def test_what_cannot_be_run_says_why(server: ServerProcess, tmp_path: Path) -> None:
    for name, folders, expected in (
        ("Nobody", (), "there is no such module in"),
        (str(tmp_path), (), "Put the module there"),
        ("Slow", ("--data-dir", str(tmp_path / "empty")), "Start it: python -m server"),
    ):
        base = ["--data-dir", str(server.folder / "data"), "--modules-dir", str(server.modules)]
        command = [sys.executable, "-m", "server", "modules", "run", name, *base, *folders]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert expected in done.stdout + done.stderr
