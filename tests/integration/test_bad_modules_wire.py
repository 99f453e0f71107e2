"""Modules that say the wrong things on the wire, each in one way, under a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server_process import ROOT, ServerProcess, wait_until

BAD = ROOT / "tests" / "modules_bad"
SPEAKING = (
    "AnswersTwice",
    "AnswersForOthers",
    "SendsGarbage",
    "SendsBinary",
    "TalksAfterItsResult",
    "SkipsNumbers",
    "SendsHugeText",
    "RaisesMidway",
    "AnswersNonsense",
    "HangsUp",
    "SendsAList",
    "PollsAndAnswersTwice",
    "PollsAndAnswersStrangers",
)


def modules_folder(folder: Path, *names: str) -> Path:
    """Copy these modules, and what they share, into a modules folder of their own."""
    for name in (*names, "_raw"):
        shutil.copytree(BAD / name, folder / "modules" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "modules"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("wire")
    with ServerProcess(folder, modules_folder(folder, *SPEAKING), MILLRACE_DRAIN="0") as running:
        for name in SPEAKING:
            running.wait_ready(name)
        yield running


def log(server: ServerProcess) -> list[str]:
    found: list[dict[str, Any]] = server.get("/v1/log/list?count=5000")["entries"]
    return [entry["entry"] for entry in found]


def start(server: ServerProcess, name: str, **values: object) -> str:
    """Start a long command and return its id."""
    body = server.post(f"/v1/bad/{name.lower()}", **values)
    assert "commandId" in body, body
    return str(body["commandId"])


def test_the_first_answer_counts(server: ServerProcess) -> None:
    for _ in range(3):
        assert server.post("/v1/bad/answerstwice")["answer"] == "first"
    wait_until("it is told", lambda: any("A result for command" in line for line in log(server)))
    assert server.module("AnswersTwice")["state"] == "Ready"


def test_nobody_answers_for_another_module(server: ServerProcess) -> None:
    victim = start(server, "TalksAfterItsResult")
    server.wait_ended("TalksAfterItsResult", victim)
    unknown = "00000000-0000-4000-8000-000000000000"
    for foreign in (victim, unknown):
        assert server.post("/v1/bad/answersforothers", foreign=foreign)["answer"] == "mine"
    record = server.get(f"/v1/commands/{victim}")
    assert (record["state"], record["text"]) == ("completed", "all ")
    assert any(f"for command {unknown} was ignored" in line for line in log(server))


def test_nobody_ends_a_command_that_runs_on_another_module(tmp_path: Path) -> None:
    names = ("AnswersForOthers", "IgnoresCancel")
    with ServerProcess(tmp_path, modules_folder(tmp_path, *names), MILLRACE_DRAIN="0") as server:
        for name in names:
            server.wait_ready(name)
        victim = start(server, "IgnoresCancel", seconds=3)
        assert server.post("/v1/bad/answersforothers", foreign=victim)["answer"] == "mine"
        assert server.get(f"/v1/commands/{victim}")["state"] == "running"
        body = server.wait_ended("IgnoresCancel", victim)
        assert (body["reply"], body["success"]) == ("done", True)


def test_a_module_that_sends_garbage_is_started_anew_and_its_command_is_run_again(server: ServerProcess) -> None:
    started = server.module("SendsGarbage")["started"]
    assert server.post("/v1/bad/sendsgarbage")["answer"] == "sorry"
    assert server.module("SendsGarbage")["started"] != started
    assert any("sent a message that cannot be read" in line for line in log(server))
    assert server.post("/v1/bad/sendsgarbage")["answer"] == "sorry"


def test_a_command_whose_module_only_sends_bytes_is_poison(server: ServerProcess) -> None:
    body = server.post("/v1/bad/sendsbinary")
    assert (body["success"], body["reason"]) == (False, "poison")
    assert "sent 256 bytes that are not text" in body["error"]
    assert server.wait_ready("SendsBinary")["stateReason"] is None


def test_a_command_that_breaks_the_connection_fails_alone(server: ServerProcess) -> None:
    texts = ["good"] * 4 + ["bad"] + ["good"] * 4
    with ThreadPoolExecutor(len(texts)) as pool:
        bodies = list(pool.map(lambda text: server.post("/v1/bad/hangsup", text=text), texts))
    assert [body.get("answer") for body in bodies] == ["good"] * 4 + [None] + ["good"] * 4
    assert bodies[4]["reason"] == "poison"


def test_a_command_that_breaks_the_connection_does_so_twice_at_most_whatever_restarts(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, modules_folder(tmp_path, "HangsUp"), MILLRACE_DRAIN="0") as server:
        server.wait_ready("HangsUp")
        command_id = str(server.post("/v1/bad/hangsuplong", text="bad")["commandId"])
        server.kill()
        server.start()
        assert server.wait_ended("HangsUp", command_id)["reason"] == "poison"
        events = server.get(f"/v1/commands/{command_id}/events?after=0")["events"]
        assert sum(event["event"] == "started" for event in events) <= 2
        assert server.post("/v1/bad/hangsup", text="good")["answer"] == "good"


def test_an_answer_that_is_no_object_is_an_error(server: ServerProcess) -> None:
    body = server.post("/v1/bad/sendsalist")
    assert (body["success"], body["error"]) == (False, "The module's answer is not a JSON object.")


def test_what_comes_after_a_result_does_not_count(server: ServerProcess) -> None:
    assert server.wait_ended("TalksAfterItsResult", start(server, "TalksAfterItsResult"))["reply"] == "all "
    wait_until("it is told", lambda: any("A text for command" in line for line in log(server)))
    command_id = start(server, "TalksAfterItsResult")
    assert server.wait_ended("TalksAfterItsResult", command_id)["reply"] == "all "
    events = server.get(f"/v1/commands/{command_id}/events?after=0")["events"]
    assert [event["event"] for event in events] == ["queued", "started", "delta", "result"]


def test_a_reply_with_a_hole_fails(server: ServerProcess) -> None:
    body = server.wait_ended("SkipsNumbers", start(server, "SkipsNumbers"))
    assert (body["success"], body["reason"], body["reply"]) == (False, "module_error", "one two ")
    assert "number 5 came after 2" in body["error"]
    assert server.wait_ended("SkipsNumbers", start(server, "SkipsNumbers"))["reason"] == "module_error"


def test_ten_megabytes_of_text_arrive_whole_and_are_given_back(server: ServerProcess) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    server.wait_ended("SendsHugeText", start(server, "SendsHugeText"))
    before = process.memory_info().rss
    for _ in range(3):
        command_id = start(server, "SendsHugeText")
        server.wait_ended("SendsHugeText", command_id)
        record = server.get(f"/v1/commands/{command_id}")
        assert (record["state"], len(record["text"])) == ("completed", 10_000_000)
    assert process.memory_info().rss - before < 300 * 1024 * 1024


def test_a_long_process_that_raises_fails_and_keeps_its_text(server: ServerProcess) -> None:
    body = server.wait_ended("RaisesMidway", start(server, "RaisesMidway"))
    assert (body["success"], body["reason"], body["reply"]) == (False, "module_error", "half of ")
    assert "the model has lost its thread" in body["error"]
    assert server.wait_ended("RaisesMidway", start(server, "RaisesMidway", well="yes"))["reply"] == "all of it"


def test_an_answer_that_is_no_json_is_a_clear_error(server: ServerProcess) -> None:
    body = server.post("/v1/bad/answersnonsense")
    assert body["success"] is False
    assert "JSON" in body["error"]
    assert server.post("/v1/bad/answersnonsense", well="yes")["success"] is True


def test_over_the_long_poll_the_first_answer_counts_and_the_second_is_refused(server: ServerProcess) -> None:
    assert server.post("/v1/bad/pollsandanswerstwice")["answer"] == "first"
    statuses = server.modules / "PollsAndAnswersTwice" / "statuses"
    wait_until("both have been answered", statuses.exists)
    assert wait_until("the statuses", statuses.read_text) == "[200, 400]"
    assert server.post("/v1/bad/pollsandanswerstwice")["answer"] == "first"


def test_over_the_long_poll_nobody_answers_what_it_was_not_asked(server: ServerProcess) -> None:
    ended = start(server, "TalksAfterItsResult")
    server.wait_ended("TalksAfterItsResult", ended)
    body = server.post("/v1/bad/pollsandanswersstrangers", ended=ended)
    assert (body["answer"], body["strange"]) == ("mine", [400, 400])
    assert server.get(f"/v1/commands/{ended}")["text"] == "all "


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("starting")
    modules = modules_folder(folder, "SpeaksOtherVersion", "HasWrongSecret", "IsNeverReady")
    with ServerProcess(folder, modules, MILLRACE_DRAIN="0") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module_id", "expected"),
    [
        ("SpeaksOtherVersion", "speaks version 99 of the channel, this server version 1"),
        ("HasWrongSecret", "made no contact with the server within 5 s"),
        ("IsNeverReady", "was not ready within 5 s"),
    ],
)
def test_what_cannot_be_talked_to_is_given_up_with_the_reason(
    starting: ServerProcess, module_id: str, expected: str
) -> None:
    entry = starting.wait_state(module_id, "Failed", seconds=100)
    assert expected in entry["stateReason"]
    assert "5 times in a row" in entry["stateReason"]
    body = starting.post(f"/v1/bad/{module_id.lower()}")
    assert body["success"] is False
    assert expected in body["error"]


def test_a_wrong_secret_is_in_the_log(starting: ServerProcess) -> None:
    wait_until("it is told", lambda: any("'HasWrongSecret'" in line and "secret" in line for line in log(starting)))


def test_a_module_above_its_memory_limit_is_started_anew(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, modules_folder(tmp_path, "LeaksMemory"), MILLRACE_DRAIN="0") as server:
        started = server.wait_ready("LeaksMemory")["started"]
        assert server.post("/v1/bad/leaksmemory", mb=20)["leaks"] == 1
        assert server.post("/v1/bad/leaksmemory", mb=400)["leaks"] == 2
        entry = server.wait_state("LeaksMemory", "Backoff")
        assert "more than its limit of 300 MB (MemoryLimitMb)" in entry["stateReason"]
        assert server.wait_ready("LeaksMemory")["started"] != started
        assert server.post("/v1/bad/leaksmemory", mb=1)["leaks"] == 1


def test_a_module_that_ignores_cancel_is_killed_and_its_innocent_sibling_is_run_again(tmp_path: Path) -> None:
    modules = modules_folder(tmp_path, "IgnoresCancel")
    with ServerProcess(tmp_path, modules, MILLRACE_CANCEL_DEADLINE="1", MILLRACE_DRAIN="0") as server:
        started = server.wait_ready("IgnoresCancel")["started"]
        stubborn = start(server, "IgnoresCancel", stubborn="yes")
        wait_until("it works", lambda: server.poll("IgnoresCancel", stubborn).get("reply"))
        sibling = start(server, "IgnoresCancel", seconds=3)
        server.post("/v1/IgnoresCancel/cancel_command", commandId=stubborn)
        body = server.wait_ended("IgnoresCancel", stubborn)
        assert (body["success"], body["stop_reason"], body["state"]) == (True, "cancelled", "cancelled")
        body = server.wait_ended("IgnoresCancel", sibling)
        assert (body["success"], body["reply"]) == (True, "done")
        events = server.get(f"/v1/commands/{sibling}/events?after=0")["events"]
        assert [event["event"] for event in events] == ["queued", "started", "queued", "started", "delta", "result"]
        assert server.wait_ready("IgnoresCancel")["started"] != started


@pytest.mark.slow
def test_a_module_that_stops_reading_is_started_anew(tmp_path: Path) -> None:
    modules = modules_folder(tmp_path, "StopsReading")
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0", MILLRACE_RESPONSE_TIMEOUT="1") as server:
        started = server.wait_ready("StopsReading")["started"]
        assert server.post("/v1/bad/stopsreading")["answer"] == "read"
        assert server.post("/v1/bad/stopsreading", read="no")["success"] is False
        for _ in range(12):  # more than the server's end of the connection can hold; the module's holds little
            server.post("/v1/bad/stopsreading", ballast=b"x" * 1_000_000)
        wait_until("it is told", lambda: any("has not read what it was sent" in line for line in log(server)))
        wait_until("another process", lambda: server.module("StopsReading")["started"] not in (started, None))
        server.wait_ready("StopsReading")
        assert server.post("/v1/bad/stopsreading")["answer"] == "read"
