"""A real server with a real module process: start, poll, cancel, kill, restart."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support.server_process import ROOT, ServerProcess, wait_until

MODULES = ROOT / "tests" / "support" / "modules"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests that leave it as it was."""
    with ServerProcess(tmp_path_factory.mktemp("server"), MODULES) as server:
        server.wait_ready("Talker")
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of its own, for the tests that kill things."""
    with ServerProcess(tmp_path, MODULES) as server:
        server.wait_ready("Talker")
        yield server


def count(server: ServerProcess, **values: object) -> str:
    """Start a long command and return its id."""
    body = server.post("/v1/talker/count", **values)
    assert body["commandStatus"] == "running", body
    return str(body["commandId"])


def wait_reply(server: ServerProcess, command_id: str) -> str:
    """Wait until the reply has some text."""
    return str(wait_until("some text", lambda: server.poll("Talker", command_id).get("reply")))


def talker_pid(server: ServerProcess) -> int:
    return int(server.post("/v1/talker/echo")["pid"])


def test_a_quick_command_answers(shared: ServerProcess) -> None:
    body = shared.post("/v1/talker/echo/more", a="Grüße", image=b"x" * 10, big=b"y" * 2_000_000)
    assert body["success"] is True
    assert (body["values"], body["sizes"], body["segments"]) == ({"a": "Grüße"}, [10, 2_000_000], ["more"])
    assert body["moduleId"] == "Talker"


def test_a_reply_grows_and_completes(shared: ServerProcess) -> None:
    command_id = count(shared, to=8, pause=0.1)
    seen: list[str] = []

    def ended() -> bool:
        body = shared.poll("Talker", command_id)
        if body.get("reply") not in (None, *seen):  # there is none before the first text
            seen.append(body["reply"])
        return bool(body["commandStatus"] == "completed")

    wait_until("the count ends", ended)
    assert len(seen) >= 3
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))
    assert seen[-1] == "1 2 3 4 5 6 7 8 "
    assert shared.poll("Talker", command_id)["step"] == 8


def test_bad_input_to_a_long_route_is_refused_at_once(shared: ServerProcess) -> None:
    body = shared.post("/v1/talker/count", to=0)
    assert (body["success"], body["error"]) == (False, "'to' must be 1 or more")


def test_two_at_once_each_get_their_own_reply(shared: ServerProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda name: count(shared, name=name, to=6), "abcdefgh"))
        bodies = list(pool.map(lambda command_id: shared.wait_ended("Talker", command_id), ids))
    for name, command_id, body in zip("abcdefgh", ids, bodies, strict=True):
        assert body["reply"] == "".join(f"{name}{n} " for n in range(1, 7))
        assert not any(other in str(body) for other in ids if other != command_id)


def test_cancel_stops_one_command_and_not_the_next(shared: ServerProcess) -> None:
    command_id = count(shared, to=10_000)
    wait_reply(shared, command_id)
    assert shared.post("/v1/Talker/cancel_command", commandId=command_id)["success"] is True
    body = shared.wait_ended("Talker", command_id)
    assert (body["stop_reason"], body["success"]) == ("cancelled", True)
    shared.post("/v1/Talker/cancel_command", commandId=command_id)
    assert shared.wait_ended("Talker", count(shared, to=3))["reply"] == "1 2 3 "


def test_a_killed_module_fails_its_command_and_comes_back(server: ServerProcess) -> None:
    pid = talker_pid(server)
    command_id = count(server, to=10_000)
    wait_reply(server, command_id)
    os.kill(pid, signal.SIGKILL)
    body = server.wait_ended("Talker", command_id)
    assert (body["success"], body["reason"]) == (False, "module_lost")
    assert body["reply"].startswith("1 ")
    wait_until("a new process", lambda: server.module("Talker").get("state") == "Ready")
    assert server.wait_ended("Talker", count(server, to=2))["reply"] == "1 2 "
    assert talker_pid(server) != pid


def test_a_command_that_kills_its_module_is_poison(server: ServerProcess) -> None:
    body = server.post("/v1/talker/die")
    assert (body["success"], body["reason"]) == (False, "poison")
    server.wait_ready("Talker")
    assert server.post("/v1/talker/echo")["success"] is True


def test_replies_survive_a_killed_server(server: ServerProcess) -> None:
    finished = count(server, name="x", to=3, pause=0)
    server.wait_ended("Talker", finished)
    running = count(server, to=10_000)
    wait_reply(server, running)
    pid = talker_pid(server)
    server.kill()
    server.start()
    body = server.poll("Talker", finished)
    assert (body["commandStatus"], body["reply"], body["success"]) == ("completed", "x1 x2 x3 ", True)
    server.wait_ready("Talker")
    server.post("/v1/Talker/cancel_command", commandId=running)
    assert server.wait_ended("Talker", running)["commandStatus"] == "completed"
    assert server.wait_ended("Talker", count(server, to=2))["reply"] == "1 2 "
    server.stop()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_stopping_the_server_stops_every_process(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, MODULES) as server:
        server.wait_ready("Talker")
        assert server.process is not None
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert children
        assert server.stop() == 0
        assert psutil.wait_procs(children, timeout=60)[1] == []


def test_a_taken_port_is_said_clearly(shared: ServerProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server", "--port", str(shared.port), "--data-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"port {shared.port}" in done.stderr
    assert "--port" in done.stderr


def test_each_address_that_the_api_names_answers(shared: ServerProcess) -> None:
    addresses = shared.get("/v1/")["addresses"]
    assert {name: shared.call(address)[0] for name, address in addresses.items()} == dict.fromkeys(addresses, 200)


def test_errors_leave_the_server_serving(shared: ServerProcess) -> None:
    status, body, headers = shared.call("/v1/no/such/route", b"")
    assert (status, b"There is no route" in body) == (404, True)
    assert headers["Content-Length"].isdigit()
    status, body, _ = shared.call("/v1/talker/echo", b'{"a": "\xff\xfe"}', {"Content-Type": "application/json"})
    assert (status, b"not UTF-8" in body) == (400, True)
    assert shared.poll("Talker", "nonsense")["success"] is False
    assert shared.post("/v1/talker/echo")["success"] is True


def test_the_log_names_the_module(shared: ServerProcess) -> None:
    body = shared.get("/v1/log/list?last_id=0&count=100")
    assert body["success"] is True
    assert any("The talker: Ready" in entry["entry"] for entry in body["entries"])


def follow(
    server: ServerProcess, command_id: str, after: int, seconds: float
) -> tuple[list[tuple[int, str, str]], bool]:
    """Read a command's stream until it ends or the server dies; return the events and whether it ended."""
    request = urllib.request.Request(
        f"{server.url}/v1/commands/{command_id}/events",
        headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
    )
    events: list[tuple[int, str, str]] = []
    try:
        with urllib.request.urlopen(request, timeout=seconds) as stream:
            block: dict[str, str] = {}
            for raw in stream:
                line = raw.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    block[name] = value
                elif block:
                    text = json.loads(block["data"]).get("text", "")
                    events.append((int(block["id"]), block["event"], text))
                    if block["event"] in ("result", "error", "cancelled"):
                        return events, True
                    block = {}
    except (OSError, http.client.HTTPException):
        pass
    return events, False


@pytest.mark.parametrize("kills", [1, 3])
def test_a_followed_reply_survives_the_death_of_the_server(server: ServerProcess, kills: int) -> None:
    """Every token once, in order, at a client that comes back with Last-Event-ID; the module is not restarted."""
    pid = talker_pid(server)
    command_id = count(server, to=120, pause=0.05)
    events: list[tuple[int, str, str]] = []
    ended = False  # on a busy machine that may be before the last kill
    for _ in range(kills):
        killer = threading.Timer(1.2, server.kill)
        killer.start()
        more, last = follow(server, command_id, events[-1][0] if events else 0, 30)
        events, ended = events + more, ended or last
        killer.join()
        server.start()
    while not ended:
        more, ended = follow(server, command_id, events[-1][0] if events else 0, 30)
        events += more
    assert [seq for seq, _, _ in events] == list(range(1, len(events) + 1))
    assert "".join(text for _, kind, text in events if kind == "delta") == "".join(f"{n} " for n in range(1, 121))
    assert events[-1][1] == "result"
    assert talker_pid(server) == pid


def test_a_module_whose_settings_changed_while_the_server_was_dead_is_started_anew(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(MODULES, modules)
    with ServerProcess(tmp_path, modules) as server:
        server.wait_ready("Talker")
        pid = talker_pid(server)
        command_id = count(server, to=10_000)
        wait_until("text that has reached the disk", lambda: server.poll("Talker", command_id).get("step", 0) > 20)
        server.kill()
        settings = modules / "Talker" / "modulesettings.json"
        settings.write_text(settings.read_text().replace('"Parallelism": 4', '"Parallelism": 3'))
        server.start()
        assert server.wait_ended("Talker", command_id)["success"] is False
        server.wait_ready("Talker")
        assert talker_pid(server) != pid


def test_a_command_whose_module_was_removed_while_the_server_was_away_ends(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(MODULES, modules)
    with ServerProcess(tmp_path, modules) as server:
        server.wait_ready("Talker")
        running = [count(server, to=10_000) for _ in range(4)]
        waiting = count(server, to=3)
        assert server.poll("Talker", waiting)["state"] == "queued"
        server.kill()
        shutil.rmtree(modules / "Talker")
        server.start()

        def all_ended() -> bool:
            return all(server.get(f"/v1/commands/{command_id}")["ended_at"] for command_id in (*running, waiting))

        wait_until("all of them end", all_ended)
        assert server.get(f"/v1/commands/{waiting}")["reason"] == "module_stopped"
