"""Modules that misbehave, each in one way, under a real server: it serves on, and says what is wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server_process import ROOT, ServerProcess, wait_until

BAD = ROOT / "tests" / "modules_bad"
READY = ("FloodsStdout", "LeavesGrandchild", "GoesSilent", "DiesOnCommand")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("bad")
    modules = Path(shutil.copytree(BAD, folder / "modules"))
    environments = str(folder / "environments")
    with ServerProcess(folder, modules, MILLRACE_ENVIRONMENTS_DIR=environments, MILLRACE_DRAIN="0") as running:
        yield running


def test_every_module_is_listed_and_described() -> None:
    modules = {path.parent.name for path in BAD.glob("*/modulesettings.json")}
    described = {line.split("|")[1].strip() for line in (BAD / "README.md").read_text().splitlines() if "| " in line}
    assert modules <= described
    assert len(modules) >= 8


def test_the_others_work(server: ServerProcess) -> None:
    for module_id in READY:
        server.wait_ready(module_id)
    assert server.post("/v1/bad/floodsstdout", a="b")["answer"] == "still here"


@pytest.mark.parametrize(
    ("module_id", "status", "expected"),
    [
        ("BrokenSettings", "FailedStart", ["modulesettings.json, line 7", "column 9", '"FilePath"']),
        ("WrongType", "FailedStart", ["line", '"Parallelism"', "a whole number"]),
        ("MissingStartFile", "FailedStart", ["not_there.py", "does not exist", "FilePath"]),
        ("UnknownRuntime", "FailedStart", ["cobol85"]),
        ("Uninstallable", "FailedStart", ["package-that-is-not-there", "install-Uninstallable.log"]),
    ],
)
def test_what_cannot_run_failed_at_once(
    server: ServerProcess, module_id: str, status: str, expected: list[str]
) -> None:
    entry = server.wait_state(module_id, "Failed")
    assert entry["status"] == status
    for part in expected:
        assert part in entry["stateReason"]


@pytest.mark.parametrize(
    ("module_id", "expected"), [("OtherPlatform", "does not run on"), ("NeedsNewerServer", "99.0.0")]
)
def test_what_is_not_for_here_is_not_started(server: ServerProcess, module_id: str, expected: str) -> None:
    entry = server.wait_state(module_id, "Stopped")
    assert entry["status"] == "NotAvailable"
    assert expected in entry["stateReason"]
    assert entry["started"] is None


@pytest.mark.parametrize(
    ("module_id", "expected"),
    [
        ("ExitsAtImport", "No module named 'package_that_does_not_exist'"),
        ("ExitsQuietly", "exit code 0"),
        ("RaisesInInitialise", "the model file is not there"),
        ("NeverConnects", "made no contact with the server within 2 s"),
    ],
)
def test_what_does_not_start_is_tried_again_and_then_given_up(
    server: ServerProcess, module_id: str, expected: str
) -> None:
    entry = server.wait_state(module_id, "Backoff", "Failed")
    assert expected in entry["stateReason"]
    entry = server.wait_state(module_id, "Failed")
    assert expected in entry["stateReason"]
    assert "5 times in a row" in entry["stateReason"]
    assert entry["status"] == "FailedStart"


@pytest.mark.parametrize("module_id", ["MissingStartFile", "WrongType", "OtherPlatform", "ExitsAtImport"])
def test_routes_of_a_module_that_does_not_run_say_why(server: ServerProcess, module_id: str) -> None:
    reason = server.wait_state(module_id, "Failed", "Stopped")["stateReason"]
    answer = server.post(f"/v1/bad/{module_id.lower()}", a="b")
    assert answer["success"] is False
    assert module_id in answer["error"]
    assert reason in answer["error"]


def test_a_command_that_kills_its_module_twice_ends_and_the_module_comes_back(server: ServerProcess) -> None:
    server.wait_ready("DiesOnCommand")
    answer = server.post("/v1/bad/diesoncommand", a="b")
    assert answer["success"] is False
    assert "stopped 2 times" in answer["error"]
    assert "exit code 7" in answer["error"]
    server.wait_ready("DiesOnCommand")


def entries(server: ServerProcess, category: str) -> list[str]:
    found: list[dict[str, Any]] = server.get("/v1/log/list?count=5000")["entries"]
    return [entry["entry"] for entry in found if entry["category"] == category]


def test_a_flood_is_cut_and_counted(server: ServerProcess) -> None:
    server.wait_ready("FloodsStdout")
    wait_until("it was told", lambda: any("more lines were left out" in x for x in entries(server, "FloodsStdout")))
    assert len(entries(server, "FloodsStdout")) < 2000


@pytest.mark.slow
def test_a_module_that_goes_silent_is_replaced(server: ServerProcess) -> None:
    started = server.wait_ready("GoesSilent")["started"]
    before = time.monotonic()
    answer = server.post("/v1/bad/goessilent", timeout=120, a="b")
    assert answer["success"] is False
    assert time.monotonic() - before > 25
    wait_until("another process is there", lambda: server.module("GoesSilent")["started"] not in (started, None), 60)
    assert any("said nothing for 30 s" in line for line in entries(server, "GoesSilent"))


def test_nothing_is_left_after_a_stop(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    for module_id in ("LeavesGrandchild", "NeverConnects", "FloodsStdout"):
        shutil.copytree(BAD / module_id, modules / module_id)
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0") as server:
        server.wait_ready("LeavesGrandchild")
        server.wait_state("NeverConnects", "Starting")
        assert server.process is not None
        family = psutil.Process(server.process.pid).children(recursive=True)
        grandchild = psutil.Process(int((modules / "LeavesGrandchild" / "grandchild.pid").read_text()))
        assert grandchild in family
        assert len(family) >= 3
        assert server.stop() == 0
        assert not [process for process in family if process.is_running()]
