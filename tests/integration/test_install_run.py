"""The two things a newcomer sees first, for real: a fresh checkout that runs, and Ctrl-C that ends all of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.installing import ROOT, copy_checkout, eventually, processes_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(os.name == "nt", reason="a POSIX shell script and signals"),
]

NETWORK_CUT = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"
)
FIRST_RUN = 1200.0
"""Seconds; nearly all of it for a machine that has to build llama.cpp."""
QUICK = 120.0
"""Seconds for a second run: a limit for a busy machine. That it is quick shows in what it leaves out."""


class Run:
    """``bash install.sh --run`` in a terminal's place: its own process group, its output read as it comes."""

    def __init__(self, checkout: Path, port: int, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["/bin/bash", str(checkout / "install.sh"), "--run", "--port", str(port)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            while chunk := os.read(output.fileno(), 4096):
                self.said += chunk.decode("utf-8", "replace")

    def wait_for(self, words: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert self.process.poll() is None, f"it ended too early:\n{self.said}"
            assert time.monotonic() < deadline, f"no {words!r} within {seconds} s:\n{self.said}"
            time.sleep(0.05)

    def ctrl_c(self) -> int:
        """What a terminal does at Ctrl-C; returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        self._reader.join(20)
        return code

    def end(self) -> None:
        """Leave nothing behind when a test has failed half-way."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(20)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def bare_environment() -> dict[str, str]:
    """As bare as an environment can be: what leads to this machine's caches.

    Where the package index cannot be reached, the first run is made from those caches alone, with the uv of the
    environment these tests run in.
    """
    env = {"HOME": os.environ.get("HOME", "/tmp")}
    look = [sys.executable, "-m", "pip", "index", "versions", "uv", "--retries", "0", "--timeout", "10"]
    if subprocess.run(look, capture_output=True, check=False).returncode == 0:
        return env
    return {**env, "UV_OFFLINE": "1", "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = copy_checkout(tmp_path_factory.mktemp("fresh") / "clone")
    yield folder
    assert processes_in(folder) == []


def post(port: int, path: str, fields: dict[str, str]) -> dict[str, Any]:
    body = json.dumps(fields).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def test_a_fresh_checkout_runs_and_ctrl_c_ends_all_of_it(
    checkout: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    run = Run(checkout, free_port, bare_environment)
    try:
        run.wait_for("Ctrl-C stops it", FIRST_RUN)
        assert f"http://127.0.0.1:{free_port}/" in run.said
        reply = run.said.partition("You: ")[2].partition("LlamaChat: ")[2].partition("Millrace is running")[0]
        assert "Millrace" in reply, run.said
        assert "LlamaChat: Ready" in run.said
        assert len(processes_in(checkout)) >= 3  # the installer, the server, the module
        started = post(free_port, "text/chat", {"prompt": "What is a module?"})
        assert started["commandStatus"] == "running"
        command = {"commandId": started["commandId"]}
        eventually(lambda: post(free_port, "LlamaChat/get_command_status", command)["commandStatus"] == "completed", 60)
        assert run.ctrl_c() == 0, run.said
        assert "Stopped." in run.said
        eventually(lambda: processes_in(checkout) == [])
    finally:
        run.end()


def test_a_second_run_is_quick_and_needs_no_network(
    checkout: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    env = {**bare_environment, **NETWORK_CUT}
    run = Run(checkout, free_port, env)
    try:
        run.wait_for("Ctrl-C stops it", QUICK)
        assert "LlamaChat: ready" in run.said  # the word of the step that found nothing to install
        assert "Making the" not in run.said
        assert run.ctrl_c() == 0, run.said
        eventually(lambda: processes_in(checkout) == [])
    finally:
        run.end()


def test_a_taken_port_is_said_at_once(checkout: Path, bare_environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = Run(checkout, port, bare_environment)
        try:
            assert run.process.wait(60) == 1
        finally:
            run.end()
    assert f"Port {port} of 127.0.0.1 cannot be used" in run.said
    assert f"--port {port + 1}" in run.said


def test_a_killed_installer_leaves_no_server_behind(
    checkout: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    run = Run(checkout, free_port, bare_environment)
    try:
        run.wait_for("Ctrl-C stops it", QUICK)
        run.process.kill()
        eventually(lambda: processes_in(checkout) == [], 60)
    finally:
        run.end()


BROKEN = {
    "Name": "LlamaChat",
    "Version": "1.0.0",
    "LaunchSettings": {"AutoStart": True, "FilePath": "broken.py", "Runtime": "python", "RuntimeLocation": "Local"},
    "RouteMaps": [{"Name": "Chat", "Route": "text/chat", "Method": "POST", "Command": "prompt"}],
}


def test_a_module_that_cannot_start_is_told_with_its_reason(
    checkout: Path, bare_environment: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    module = tmp_path / "modules" / "LlamaChat"
    module.mkdir(parents=True)
    (module / "modulesettings.json").write_text(json.dumps({"Modules": {"LlamaChat": BROKEN}}))
    (module / "broken.py").write_text("import sys\nsys.exit('the dog ate the model')\n")
    env = {
        **bare_environment,
        "MILLRACE_MODULES_DIR": str(tmp_path / "modules"),
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
    }
    run = Run(checkout, free_port, env)
    try:
        assert run.process.wait(240) == 1
    finally:
        run.end()
    assert "LlamaChat did not start: Failed" in run.said
    assert "the dog ate the model" in run.said
    assert str(tmp_path / "data" / "logs" / "millrace.log") in run.said
    eventually(lambda: processes_in(checkout) == [])


def readme_block(language: str, word: str) -> str:
    """The block of code in the README that is in this language and has this word in it."""
    blocks = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (found,) = [block for block in blocks if word in block]
    return str(found)


def test_the_module_in_the_readme_works_when_dropped_in(
    checkout: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    run = Run(checkout, free_port, bare_environment)
    try:
        run.wait_for("Ctrl-C stops it", QUICK)
        module = checkout / "modules" / "Shout"
        module.mkdir()
        (module / "shout.py").write_text(readme_block("python", "class Shout"), "utf-8")
        (module / "requirements.txt").touch()
        (module / "modulesettings.json").write_text(readme_block("json", '"Shout"'), "utf-8")
        eventually(lambda: state_of("Shout", free_port) == "Ready", 120)
        started = post(free_port, "text/shout", {"text": "all together now"})
        polled: list[dict[str, Any]] = []

        def ended() -> bool:
            polled.append(post(free_port, "Shout/get_command_status", {"commandId": started["commandId"]}))
            return bool(polled[-1]["commandStatus"] == "completed")

        eventually(ended, 30)
        assert polled[-1]["reply"].strip() == "ALL TOGETHER NOW"
        assert any(poll.get("reply", "").strip() == "ALL" for poll in polled)
        assert run.ctrl_c() == 0, run.said
        eventually(lambda: processes_in(checkout) == [])
    finally:
        run.end()


def state_of(module_id: str, port: int) -> str | None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/module/list/status", timeout=30) as answer:
        statuses = json.load(answer)["statuses"]
    return next((module["state"] for module in statuses if module["moduleId"] == module_id), None)
