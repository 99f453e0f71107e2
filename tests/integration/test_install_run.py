"""The two things a newcomer sees first, for real: a fresh checkout that runs, and Ctrl-C that ends all of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
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

from tests.support.gguf_models import write_causal
from tests.support.hub_standin import HubFile, HubStandIn
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

    def __init__(self, checkout: Path, port: int, env: dict[str, str], *more: str) -> None:
        self.process = subprocess.Popen(
            ["/bin/bash", str(checkout / "install.sh"), "--run", "--port", str(port), *more],
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
        assert "Making the" not in run.said  # nothing was found that had to be installed
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


def test_a_first_chat_that_cannot_be_ends_in_a_running_server(
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
        run.wait_for("Ctrl-C stops it", 240)
        assert "LlamaChat: Does not work: " in run.said
        assert "These modules do not work yet" in run.said
        assert "the dog ate the model" in run.said.partition("These modules do not work yet")[2]
        assert str(tmp_path / "data" / "logs" / "millrace.log") in run.said
        assert state_of("LlamaChat", free_port) == "Failed"
        assert run.ctrl_c() == 0, run.said
    finally:
        run.end()
    eventually(lambda: processes_in(checkout) == [])


def test_ctrl_c_while_a_module_is_installed_leaves_nothing(
    checkout: Path, bare_environment: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    module = tmp_path / "modules" / "LlamaChat"
    module.mkdir(parents=True)
    (module / "modulesettings.json").write_text(json.dumps({"Modules": {"LlamaChat": BROKEN}}))
    (module / "broken.py").touch()
    (module / "install.sh").write_text("sleep 600\n")
    env = {
        **bare_environment,
        "MILLRACE_MODULES_DIR": str(tmp_path / "modules"),
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
    }
    run = Run(checkout, free_port, env)
    try:
        run.wait_for("LlamaChat: Running install.sh", 240)
        run.wait_for("still waiting for LlamaChat", 60)
        assert state_of("LlamaChat", free_port) == "Installing"
        assert run.ctrl_c() == 0, run.said
        assert "Stopped." in run.said
    finally:
        run.end()
    eventually(lambda: processes_in(checkout) == [] and processes_in(tmp_path) == [])


def test_a_missing_model_ends_in_a_running_server_that_takes_up_one_that_comes(
    checkout: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    models = checkout / "modules" / "LlamaChat" / "models"
    (models / "millrace-tiny.gguf").rename(models / "renamed.gguf")
    run = Run(checkout, free_port, bare_environment)
    try:
        run.wait_for("Ctrl-C stops it", QUICK)
        assert "Warning: LlamaChat has no model to chat with." in run.said
        assert f"There is no model file {models / 'millrace-tiny.gguf'}" in run.said
        assert "has: renamed.gguf" in run.said
        assert "You: " not in run.said
        (models / "renamed.gguf").rename(models / "millrace-tiny.gguf")
        eventually(lambda: post(free_port, "text/chat", {"prompt": "What is a module?"}).get("success"), 60)
        assert run.ctrl_c() == 0, run.said
    finally:
        run.end()
        if (models / "renamed.gguf").exists():
            (models / "renamed.gguf").rename(models / "millrace-tiny.gguf")


async def test_a_model_is_downloaded_while_the_server_runs_and_greeted_with_what_it_can_answer(
    checkout: Path, bare_environment: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    models = checkout / "modules" / "LlamaChat" / "models"
    content = await asyncio.to_thread((models / "millrace-tiny.gguf").read_bytes)
    async with HubStandIn({"mill/tiny": {"fresh-Q8_0.gguf": HubFile(content)}}) as hub:
        here = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "MILLRACE_DATA_DIR": str(tmp_path / "data")}
        here["MILLRACE_ENVIRONMENTS_DIR"] = str(checkout / "data" / "environments")
        run = await asyncio.to_thread(Run, checkout, free_port, {**bare_environment, **here}, "--model", "mill/tiny")
        try:
            await asyncio.to_thread(run.wait_for, "Ctrl-C stops it", 300)
            assert "==> Downloading mill/tiny for LlamaChat" in run.said
            greeted = run.said.partition("You: ")[2]
            assert greeted.startswith("Say hello in one short sentence.")
            assert greeted.partition("LlamaChat: ")[2].partition("Millrace is running")[0].strip()
            listed = await asyncio.to_thread(post, free_port, "text/models", {})
            assert [model["file"] for model in listed["models"] if model["loaded"]] == ["fresh-Q8_0.gguf"]
            assert await asyncio.to_thread(run.ctrl_c) == 0, run.said
        finally:
            await asyncio.to_thread(run.end)
            (models / "fresh-Q8_0.gguf").unlink(missing_ok=True)
    await asyncio.to_thread(eventually, lambda: processes_in(checkout) == [])


KEEPS_BUSY = {"FloodsStdout", "LeaksMemory"}
"""They are wrong only when they are asked for something, and then cost others time."""
NEVER_WORKS = {
    "BrokenSettings": "comma",
    "MissingStartFile": "FilePath",
    "Uninstallable": "requirements.txt",
    "UnknownRuntime": "not known",
    "WrongType": "Parallelism",
}
"""What is wrong with a module that can never run, and a word of what its state must say."""


def test_with_every_kind_of_wrong_module_it_ends_in_a_chat(
    checkout: Path, bare_environment: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(checkout / "tests" / "modules_bad", modules, ignore=shutil.ignore_patterns(*KEEPS_BUSY))
    (modules / "LlamaChat").symlink_to(checkout / "modules" / "LlamaChat", target_is_directory=True)
    env = {
        **bare_environment,
        "MILLRACE_MODULES_DIR": str(modules),
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
        "MILLRACE_ENVIRONMENTS_DIR": str(checkout / "data" / "environments"),
    }
    run = Run(checkout, free_port, env)
    try:
        run.wait_for("Ctrl-C stops it", 300)
        reply = run.said.partition("You: ")[2].partition("LlamaChat: ")[2].partition("These modules")[0]
        assert "Millrace" in reply, run.said
        told = run.said.partition("These modules do not work yet")[2]
        for name, word in NEVER_WORKS.items():
            assert re.search(rf"^  {name}: .*{word}", told, re.MULTILINE), (name, told)
            assert state_of(name, free_port) == "Failed"
            assert word in reason_of(name, free_port)
        started = post(free_port, "text/chat", {"prompt": "What is a module?"})
        assert started["success"], started
        assert run.ctrl_c() == 0, run.said
    finally:
        run.end()
    eventually(lambda: processes_in(checkout) == [])


def test_it_runs_in_any_folder_whatever_the_locale(
    tmp_path: Path, bare_environment: dict[str, str], free_port: int
) -> None:
    odd = copy_checkout(tmp_path / "it's my mühle 中" / "clone")
    run = Run(odd, free_port, {**bare_environment, "LC_ALL": "C"})
    try:
        run.wait_for("Ctrl-C stops it", FIRST_RUN)
        assert "LlamaChat: Ready" in run.said
        reply = run.said.partition("You: ")[2].partition("LlamaChat: ")[2].partition("Millrace is running")[0]
        assert "Millrace" in reply, run.said
        assert str(odd / "data" / "logs") in run.said
        assert run.ctrl_c() == 0, run.said
        # A service is started without the installer.
        alone = [str(odd / ".venv" / "bin" / "python"), "-m", "server", "--help"]
        ended = subprocess.run(alone, cwd=odd, env={"LC_ALL": "C"}, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
    finally:
        run.end()
    eventually(lambda: processes_in(odd) == [])


def install(checkout: Path, env: dict[str, str], *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
    """Run ``bash install.sh`` to its end; returns its exit code and all it printed."""
    ended = subprocess.run(
        ["/bin/bash", str(checkout / "install.sh"), *arguments],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=240,
    )
    return ended.returncode, ended.stdout.decode("utf-8", "replace")


def test_without_run_a_wrong_module_is_a_warning_and_a_1(
    checkout: Path, bare_environment: dict[str, str], tmp_path: Path
) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(checkout / "tests" / "modules_bad" / "BrokenSettings", modules / "BrokenSettings")
    env = {
        **bare_environment,
        "MILLRACE_MODULES_DIR": str(modules),
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
    }
    code, said = install(checkout, env, cwd=tmp_path)
    assert code == 1
    assert "BrokenSettings" in said
    assert "Warning: not every module is ready" in said
    assert f"Start it with: bash {checkout}/install.sh --run" in said
    assert "network" not in said


def test_a_model_file_from_where_the_user_is(checkout: Path, bare_environment: dict[str, str], tmp_path: Path) -> None:
    mine = write_causal(tmp_path / "my models" / "Mine.GGUF")
    folders = {"MILLRACE_DATA_DIR": str(tmp_path / "data"), "MILLRACE_MODULES_DIR": str(tmp_path / "modules")}
    env = {**bare_environment, **folders}
    (tmp_path / "modules").mkdir()
    code, said = install(checkout, env, "--model", "my models/Mine.GGUF", cwd=tmp_path)
    there = checkout / "modules" / "LlamaChat" / "models" / "Mine.GGUF"
    try:
        assert code == 0, said
        assert "Linked to" in said
        assert there.samefile(mine)
        chosen = json.loads((tmp_path / "data" / "modulesettings.json").read_text("utf-8"))
        variables = chosen["Modules"]["LlamaChat"]["EnvironmentVariables"]
        assert variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == "@Mine.GGUF"
    finally:
        there.unlink(missing_ok=True)
    code, said = install(checkout, env, "--model", "none.gguf", cwd=tmp_path)
    assert code == 1
    assert f"There is no file {tmp_path / 'none.gguf'}" in said


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
    return module_status(module_id, port).get("state")


def reason_of(module_id: str, port: int) -> str:
    return str(module_status(module_id, port).get("stateReason"))


def module_status(module_id: str, port: int) -> dict[str, Any]:
    """What the explorer shows of a module."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/module/list/status", timeout=30) as answer:
        statuses = json.load(answer)["statuses"]
    return next((module for module in statuses if module["moduleId"] == module_id), {})
