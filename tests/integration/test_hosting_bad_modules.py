"""Modules that misbehave, each in one way, under a real server: it serves on, and says what is wrong."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server_process import ROOT, ServerProcess, wait_until

BAD = ROOT / "tests" / "modules_bad"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("bad")
    modules = Path(shutil.copytree(BAD, folder / "modules"))
    environments = str(folder / "environments")
    with ServerProcess(folder, modules, MILLRACE_ENVIRONMENTS_DIR=environments, MILLRACE_DRAIN="0") as running:
        yield running


REASONS: dict[str, tuple[str, list[str]]] = {
    # what keeps it from being a module
    "BrokenSettings": ("Failed", ["modulesettings.json, line 7, column 9", "a comma is missing at the end of line 6"]),
    "CutOffSettings": ("Failed", ["the file ends", "the '{' of line 9 is still open", "'}' is missing"]),
    "EmptySettings": ("Failed", ["modulesettings.json", "it is empty", 'must begin with {"Modules"']),
    "HasAnothersId": ("Failed", ["'FloodsStdout' is already taken by the folder", "Remove one of the two"]),
    "NoFilePath": ("Failed", ['line 9: the key "LaunchSettings.FilePath" is missing', "my_module_adapter.py"]),
    "NoSettings": ("Failed", ["There is no modulesettings.json in", "Write one (docs/writing-a-module.md tells how)"]),
    "WrongLetterCase": ("Failed", ["Rename its file ModuleSettings.json to modulesettings.json, all in small letters"]),
    "WrongType": ("Failed", ["line 13", '"Parallelism"', "a whole number"]),
    # what keeps it from being started
    "MissingStartFile": ("Failed", ["not_there.py does not exist", 'Check "LaunchSettings.FilePath"']),
    "NeedsNewerServer": ("Stopped", ["needs a server of version 99.0.0", "Take another version of the module"]),
    "OtherPlatform": ("Stopped", ["does not run on", "InstallOptions.Platforms: "]),
    "Uninstallable": ("Failed", ["package-that-is-not-there", "requirements", "install-Uninstallable.log"]),
    "UnknownRuntime": ("Failed", ["'cobol85' is not known", "Write it like python3.11"]),
    # what keeps it from serving
    "ExitsAtImport": ("Failed", ["'package_that_does_not_exist' (", "adapter.py, line", "into its requirements.txt"]),
    "ExitsQuietly": ("Failed", ["exit code 0 while it was starting", "must end with start_loop()"]),
    "ForgetsStartLoop": ("Failed", ["exit code 0 while it was starting", "must end with start_loop()"]),
    "HasSyntaxError": ("Failed", ["SyntaxError: ", "HasSyntaxError/adapter.py, line 7)", "correct the program there"]),
    "HasWrongSecret": ("Failed", ["made no contact with the server within 5 s (StartTimeoutSecs)", "start_loop()"]),
    # among so many, which of its two limits ends it is a matter of load: the tests of the wire tell them apart
    "IsNeverReady": ("Failed", ["within 5 s (StartTimeoutSecs)", "longer"]),
    "MisspellsProcess": ("Failed", ["no method process(self, data)", "Is it the one called 'proces'?"]),
    "NeverConnects": ("Failed", ["made no contact with the server within 2 s (StartTimeoutSecs)", "start_loop()"]),
    "RaisesInInitialise": ("Failed", ["initialise() failed: RuntimeError: the model file is not there", "its log"]),
    "SpeaksOtherVersion": ("Failed", ["version 99 of the channel, this server version 1", "an SDK of its own"]),
    # what is wrong with one that serves
    "NamesTakenRoutes": (
        "Ready",
        ["'bad/floodsstdout' is one of the module FloodsStdout", "'log' is one of the server"],
    ),
}
"""What the state of a module says once it is certain: the cause, and what to do."""
SERVING = {
    *("AnswersForOthers", "AnswersNonsense", "AnswersTwice", "DiesOnCommand", "FloodsStdout", "GoesSilent", "HangsUp"),
    *("IgnoresCancel", "LeaksMemory", "LeavesGrandchild", "PollsAndAnswersStrangers", "PollsAndAnswersTwice"),
    *("RaisesMidway", "SendsAList", "SendsBinary", "SendsGarbage", "SendsHugeText", "SkipsNumbers", "StopsReading"),
    "TalksAfterItsResult",
}
"""Those that do wrong only when they are asked something; the tests of what they do then look at what is said."""


def folders() -> set[str]:
    return {path.name for path in BAD.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}


def test_every_module_is_described_and_has_its_words() -> None:
    described = {line.split("|")[1].strip() for line in (BAD / "README.md").read_text().splitlines() if "| " in line}
    assert folders() == described - {"module"}
    assert folders() == REASONS.keys() | SERVING


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("module_id", sorted(REASONS))
def test_the_state_of_a_wrong_module_names_cause_and_remedy(server: ServerProcess, module_id: str) -> None:
    state, expected = REASONS[module_id]
    entry = server.wait_state(module_id, state, seconds=240)
    for part in expected:
        assert part in entry["stateReason"], entry["stateReason"]


@pytest.mark.parametrize("module_id", sorted(SERVING))
def test_a_module_that_is_wrong_only_when_asked_is_ready(server: ServerProcess, module_id: str) -> None:
    entry = server.wait_ready(module_id, 240)
    assert (entry["stateReason"], entry["notes"]) == (None, [])


def test_the_others_work(server: ServerProcess) -> None:
    server.wait_ready("FloodsStdout")
    assert server.post("/v1/bad/floodsstdout", a="b")["answer"] == "still here"


@pytest.mark.parametrize("module_id", ["BrokenSettings", "MissingStartFile", "UnknownRuntime"])
def test_what_cannot_run_failed_at_once(server: ServerProcess, module_id: str) -> None:
    entry = server.wait_state(module_id, "Failed")
    assert entry["status"] == "FailedStart"
    assert entry["started"] is None


@pytest.mark.parametrize("module_id", ["OtherPlatform", "NeedsNewerServer"])
def test_what_is_not_for_here_is_not_started(server: ServerProcess, module_id: str) -> None:
    entry = server.wait_state(module_id, "Stopped")
    assert entry["status"] == "NotAvailable"
    assert entry["started"] is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_does_not_start_is_tried_again_and_then_given_up(server: ServerProcess) -> None:
    entry = server.wait_state("ExitsAtImport", "Failed", seconds=240)
    assert "5 times in a row" in entry["stateReason"]
    assert entry["status"] == "FailedStart"


@pytest.mark.parametrize("module_id", ["MissingStartFile", "WrongType", "OtherPlatform", "ExitsAtImport"])
@pytest.mark.timeout(300)
def test_routes_of_a_module_that_does_not_run_say_why(server: ServerProcess, module_id: str) -> None:
    reason = server.wait_state(module_id, "Failed", "Stopped", seconds=240)["stateReason"]
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
    def lines() -> tuple[int, int]:
        """How many are in the log, and how many are said to have been left out."""
        found = entries(server, "FloodsStdout")
        counts = [re.search(r"… (\d+) more lines were left out", entry) for entry in found]
        return sum(": line " in entry for entry in found), sum(int(count[1]) for count in counts if count)

    server.wait_ready("FloodsStdout")
    kept, left_out = wait_until("all are told of", lambda: lines() if sum(lines()) >= 50_000 else None)
    assert 0 < kept < left_out


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
