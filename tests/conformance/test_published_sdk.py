"""A module on the published SDK, unchanged, beside ours: called, polled, streamed and cancelled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.support.server_process import ROOT, ServerProcess, wait_until

pytestmark = pytest.mark.timeout(400)
ID = "PublishedSdk"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("published")
    modules = folder / "modules"
    shutil.copytree(ROOT / "tests" / "conformance" / "modules", modules)
    shutil.copytree(ROOT / "tests" / "support" / "modules" / "Talker", modules / "Talker")
    environments = str(folder / "environments")
    with ServerProcess(
        folder,
        modules,
        MILLRACE_ENVIRONMENTS_DIR=environments,
        MILLRACE_DRAIN="0.2",
        MILLRACE_MODULE_DRAIN="0.2",
    ) as server:
        server.wait_ready("Talker")
        server.wait_ready(ID, 300)
        yield server


def slow(server: ServerProcess, **values: object) -> str:
    body = server.post("/v1/published/slow", **values)
    assert (body["success"], body["commandStatus"]) == (True, "running"), body
    return str(body["commandId"])


def test_the_published_package_is_what_runs(server: ServerProcess) -> None:
    def module_process() -> psutil.Process | None:
        assert server.process is not None
        children = psutil.Process(server.process.pid).children(recursive=True)
        return next((child for child in children if "published_adapter.py" in " ".join(child.cmdline())), None)

    process = wait_until("the module's process", module_process)
    assert process.environ().get("PYTHONPATH", "").endswith("module_site"), "and not our SDK"


def test_a_quick_command(server: ServerProcess) -> None:
    body = server.post("/v1/published/quick", text="Grüße", image=b"x" * 1234)
    assert (body["success"], body["echo"], body["size"], body["moduleId"]) == (True, "Grüße", 1234, ID)


def test_a_large_file_reaches_it(server: ServerProcess) -> None:
    assert server.post("/v1/published/quick", image=b"x" * 3_000_000)["size"] == 3_000_000


def test_a_long_command_is_polled_to_its_end(server: ServerProcess) -> None:
    command_id = slow(server, name="n", to=10)
    seen: set[str] = set()

    def ended() -> bool:
        body = server.poll(ID, command_id)
        seen.add(body.get("reply") or "")
        return bool(body["commandStatus"] == "completed")

    wait_until("the slow one ends", ended)
    assert len(seen) >= 3
    body = server.poll(ID, command_id)
    assert (body["reply"], body["stop_reason"], body["success"]) == (
        "".join(f"n{n} " for n in range(1, 11)),
        "completed",
        True,
    )


def test_two_long_commands_each_get_their_own_reply(server: ServerProcess) -> None:
    first, second = slow(server, name="a", to=5), slow(server, name="b", to=5)
    bodies = [server.wait_ended(ID, command_id) for command_id in (first, second)]
    assert [body["reply"] for body in bodies] == ["a1 a2 a3 a4 a5 ", "b1 b2 b3 b4 b5 "]
    assert second not in str(bodies[0])
    assert first not in str(bodies[1])


def test_a_cancel_stops_one_command_and_a_late_one_does_not_touch_the_next(server: ServerProcess) -> None:
    first = slow(server, to=600)
    wait_until("some text", lambda: server.poll(ID, first).get("reply"))
    assert server.post(f"/v1/{ID}/cancel_command", commandId=first)["commandStatus"] == "cancelled"
    assert server.wait_ended(ID, first)["stop_reason"] == "cancelled"
    second = slow(server, to=5)
    assert server.post(f"/v1/{ID}/cancel_command", commandId=first)["success"] is True
    body = server.wait_ended(ID, second)
    assert (body["reply"], body["stop_reason"]) == ("1 2 3 4 5 ", "completed")


def test_its_reply_can_be_streamed(server: ServerProcess) -> None:
    _, body, headers = server.call("/v1/published/slow?to=5&name=s", b"", {"Accept": "text/event-stream"})
    assert headers["Content-Type"].startswith("text/event-stream")
    assert b"event: delta" in body
    assert b'"reply":"s1 s2 s3 s4 s5 "' in body


def test_what_a_restart_or_the_end_of_the_server_cuts_off_has_failed(server: ServerProcess) -> None:
    def stop_server() -> None:
        server.stop()
        server.start()

    def restart() -> None:
        assert server.post(f"/v1/settings/{ID}", name="Restart", value="")["success"] is True

    for stop, reason in ((restart, "module_stopped"), (stop_server, "server_restart")):
        server.wait_ready(ID)
        command_id = slow(server, to=600)
        wait_until("some text", lambda: server.poll(ID, command_id).get("reply"))  # noqa: B023
        stop()
        body = server.wait_ended(ID, command_id)
        assert (body["success"], body["reason"], body["stop_reason"]) == (False, reason, reason)
        assert body["reply"].startswith("1 2 ")
    server.wait_ready(ID)


def test_a_killed_one_comes_back(server: ServerProcess) -> None:
    command_id = slow(server, to=600)
    wait_until("some text", lambda: server.poll(ID, command_id).get("reply"))
    assert server.process is not None
    for child in psutil.Process(server.process.pid).children(recursive=True):
        if "published_adapter.py" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
    body = server.wait_ended(ID, command_id)
    assert (body["success"], body["reason"]) == (False, "module_lost")
    server.wait_ready(ID, 60)
    assert server.post("/v1/published/quick", text="again")["echo"] == "again"


@contextlib.contextmanager
def by_hand(command: list[str], **environment: str) -> Iterator[None]:
    """Start a module by hand; stop it at the end as Ctrl-C does."""
    folder = ROOT / "tests" / "conformance" / "modules" / ID
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_", "CPAI_"))}
    cwd = ROOT if "server" in command else folder
    process = subprocess.Popen(command, cwd=cwd, env={**plain, **environment})
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_one_that_is_started_by_hand_is_served_as_well(server: ServerProcess) -> None:
    """As an IDE starts it, where the settings name it; and by ``modules run``, where also its own calls need no key."""
    environments = str(server.folder / "environments")
    python = next((server.folder / "environments" / ID).rglob("bin/python"))
    other = ServerProcess(
        server.folder / "other",
        server.modules,
        MILLRACE_ENVIRONMENTS_DIR=environments,
        MILLRACE_LAUNCH_MODULES="false",
        MILLRACE_EXTERNAL_MODULES=ID,
        MILLRACE_API_KEYS="anna=anna-key",
    )

    def post(name: str) -> dict[str, object]:
        status, body, _ = other.call(f"/v1/published/{name}", b"text=hello&to=3", {"X-API-Key": "anna-key"})
        assert status == 200, body
        found: dict[str, object] = json.loads(body)
        return found

    with other:
        adapter = str(server.modules / ID / "published_adapter.py")
        with by_hand([str(python), adapter], CPAI_PORT=str(other.port)):
            assert post("quick")["echo"] == "hello"
        folders = ["--data-dir", str(other.folder / "data"), "--modules-dir", str(server.modules)]
        run = [sys.executable, "-m", "server", "modules", "run", str(server.modules / ID), *folders]
        with by_hand(run, MILLRACE_ENVIRONMENTS_DIR=environments):
            asked = post("ask")
            assert isinstance(asked["asked"], dict), asked
            assert asked["asked"]["echo"] == "asked"
