"""Work that the server stops: it never ends as if it were whole, whoever speaks which protocol."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.hosting_modules import write_module
from tests.support.server_process import ROOT, ServerProcess, wait_until

WORDS = " ".join(f"word{number}" for number in range(1, 25))
SECOND = "It runs again from the start."
LONG = [{"Route": "text/recite", "Command": "recite", "LongRunning": True}]
POLLING = """
import os

del os.environ["MILLRACE_CHANNEL_URL"]
"""
"""Without it our SDK speaks the queue protocol."""
OLD_STYLE = """
import time

from codeproject_ai_sdk import ModuleRunner, RequestData


class Old(ModuleRunner):
    def initialise(self):
        self.text, self.stop = "", False

    def process(self, data: RequestData):
        return self.recite

    def recite(self, data: RequestData):
        for word in data.get_value("text").split():
            if self.stop:
                return {"success": True, "reply": self.text, "stop_reason": "cancelled"}
            self.text += word + " "
            time.sleep(0.1)
        return {"success": True, "reply": self.text}

    def command_status(self):
        return {"success": True, "reply": self.text}

    def cancel_command_task(self):
        self.stop, self.force_shutdown = True, False


if __name__ == "__main__":
    Old().start_loop()
"""


def shout() -> str:
    """The guide's own module, word for word."""
    guide = (ROOT / "docs" / "writing-a-module.md").read_text(encoding="utf-8")
    found = re.search(r"`modules/Shout/shout_adapter\.py`:\n\n```python\n(.*?)```", guide, re.DOTALL)
    assert found is not None
    return found.group(1)


MODULES = {
    "the guide's": shout,
    "the guide's, polling": lambda: POLLING + shout(),
    "the older style": lambda: OLD_STYLE,
}


def write(folder: Path, code: str, route: dict[str, Any] | None = None) -> Path:
    routes = [{**LONG[0], **(route or {})}]
    write_module(folder / "modules", "Shout", code, RouteMaps=routes)
    return folder / "modules"


def recite(server: ServerProcess, text: str = WORDS) -> str:
    """Start a long command and wait until some of its text is there."""
    command_id = str(server.post("/v1/text/recite", text=text)["commandId"])
    wait_until("some text", lambda: "word2" in (server.poll("Shout", command_id).get("reply") or ""))
    return command_id


def settings(server: ServerProcess, **values: object) -> None:
    body = json.dumps({"Shout": values}).encode()
    status, answer, _ = server.call("/v1/settings", body, {"Content-Type": "application/json"})
    assert status == 200, answer


def judge(server: ServerProcess, command_id: str, reason: str, says: str) -> None:
    """Every view says that it was cut off, and by what; what had been said stays readable."""
    poll = server.wait_ended("Shout", command_id)
    assert (poll["success"], poll["reason"], poll["stop_reason"], poll["code"]) == (False, reason, reason, 500)
    assert says in poll["error"]
    assert poll["error"].endswith("Send it again.")
    assert poll["reply"].startswith("word1 word2 ")
    assert "word24" not in poll["reply"]
    record = server.get(f"/v1/commands/{command_id}")
    assert (record["state"], record["reason"], record["error"]) == ("failed", reason, poll["error"])
    assert record["text"] == poll["reply"]
    stream = server.call(f"/v1/commands/{command_id}/events", headers={"Accept": "text/event-stream"})[1].decode()
    assert "event: error" in stream
    assert "event: result" not in stream
    assert reason in stream


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
def test_what_a_sigterm_cuts_off_has_failed(tmp_path: Path, module: Callable[[], str]) -> None:
    modules = write(tmp_path, module())
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0.2") as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        assert server.stop() == 0
        server.start()
        judge(server, command_id, "server_restart", "The server stopped before this was finished.")


def change(server: ServerProcess, modules: Path, how: str) -> None:
    match how:
        case "Restart":
            settings(server, Restart="")
        case "AutoStart":
            settings(server, AutoStart=False)
        case "settings":
            settings(server, Parallelism=3)
        case _:
            shutil.rmtree(modules / "Shout")


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
@pytest.mark.parametrize("how", ["Restart", "AutoStart", "settings", "removed"])
def test_what_a_stopped_module_was_doing_has_failed(tmp_path: Path, how: str, module: Callable[[], str]) -> None:
    modules = write(tmp_path, module())
    with ServerProcess(tmp_path, modules, MILLRACE_MODULE_DRAIN="0.2") as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        change(server, modules, how)
        if how == "removed":
            record = wait_until("it ends", lambda: (r := server.get(f"/v1/commands/{command_id}"))["ended_at"] and r)
            assert (record["state"], record["reason"]) == ("failed", "module_stopped")
            assert "its folder was removed" in record["error"]
            assert record["text"].startswith("word1 word2 ")
            return
        judge(server, command_id, "module_stopped", "The module was stopped before this was finished")


def test_what_ends_within_the_drain_is_whole(tmp_path: Path) -> None:
    modules = write(tmp_path, shout())
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="30") as server:
        server.wait_ready("Shout")
        command_id = recite(server, "word1 word2 word3")
        assert server.stop() == 0
        server.start()
        poll = server.wait_ended("Shout", command_id)
        assert (poll["success"], poll["reply"], poll["stop_reason"]) == (True, "word1 word2 word3 ", "completed")


def test_what_may_be_run_again_is_given_to_the_next_process(tmp_path: Path) -> None:
    modules = write(tmp_path, shout().replace("0.5", "0.02"), {"Idempotent": True})
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0", MILLRACE_MODULE_DRAIN="0.2") as server:
        server.wait_ready("Shout")
        long = " ".join(["word1", "word2", *WORDS.split() * 10])
        command_id = recite(server, long)
        settings(server, Restart="")
        wait_until("it is given to the next process", lambda: _deliveries(server, command_id) > 1)
        assert server.stop() == 0
        server.start()
        poll = server.wait_ended("Shout", command_id)
        assert (poll["success"], poll["reply"].split()) == (True, long.split())
        kinds = [event["event"] for event in server.get(f"/v1/commands/{command_id}/events?after=0")["events"]]
        assert kinds.count("started") >= 2
        assert kinds[-1] == "result"


def _deliveries(server: ServerProcess, command_id: str) -> int:
    events = server.get(f"/v1/commands/{command_id}/events?after=0")["events"]
    return sum(event["event"] == "started" for event in events)


def test_what_a_polling_module_goes_on_with_after_a_kill_of_the_server_is_whole(tmp_path: Path) -> None:
    modules = write(tmp_path, POLLING + shout())
    with ServerProcess(tmp_path, modules) as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        server.kill()
        server.start()
        poll = server.wait_ended("Shout", command_id)
        assert (poll["success"], poll["stop_reason"], poll["reply"].split()) == (True, "completed", WORDS.split())
        assert any("is taken over" in line for line in server.output)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_what_a_service_manager_ends_all_at_once_has_failed(tmp_path: Path) -> None:
    """It may send its SIGTERM to the modules in the same moment as to the server."""
    with ServerProcess(tmp_path, write(tmp_path, shout()), MILLRACE_DRAIN="5") as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        assert server.process is not None
        everybody = [*psutil.Process(server.process.pid).children(recursive=True)]
        server.process.send_signal(signal.SIGTERM)
        wait_until("the server has heard it", lambda: any("Stopping" in line for line in server.output))
        for process in everybody:
            process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        server.start()
        judge(server, command_id, "server_restart", "The server stopped before this was finished.")


def test_who_waits_for_a_quick_answer_is_told(tmp_path: Path) -> None:
    code = shout().replace("text.upper()", "time.sleep(60)")
    modules = write(tmp_path, code, {"Route": "text/shout", "Command": "shout", "LongRunning": False})
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0") as server, ThreadPoolExecutor(1) as pool:
        server.wait_ready("Shout")
        answer = pool.submit(server.post, "/v1/text/shout", text="hello")
        wait_until("it runs", lambda: server.module("Shout")["state"] == "Busy")
        assert server.stop() == 0
        body = answer.result(60)
        assert (body["success"], body["reason"]) == (False, "server_restart")
        assert body["error"] == "The server stopped before this was finished. Send it again."
        server.start()


def test_a_chat_that_a_sigterm_cuts_off_has_failed_and_was_cancelled_by_nobody(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, ROOT / "modules", MILLRACE_DRAIN="0") as server:
        server.wait_ready("LlamaChat", 600)
        chat = server.post("/v1/text/chat", prompt="What is a module?", max_tokens=900, ignore_eos="true")
        command_id = str(chat["commandId"])
        wait_until("some text", lambda: server.poll("LlamaChat", command_id).get("reply"))
        assert server.stop() == 0
        server.start()
        poll = server.wait_ended("LlamaChat", command_id)
        assert (poll["success"], poll["stop_reason"], poll["reason"]) == (False, "server_restart", "server_restart")
        assert poll["reply"]


def test_a_process_that_is_not_taken_over_is_replaced_without_a_warning(tmp_path: Path) -> None:
    modules = write(tmp_path, shout())
    with ServerProcess(tmp_path, modules, PYTHONWARNINGS="always") as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        server.kill()
        write(tmp_path, shout(), {"Name": "its settings are others now"})
        server.start()
        judge(server, command_id, "module_stopped", "its settings have changed since it was started")
        server.wait_ready("Shout")
        server.stop()
        assert any("outlived the last server" in line for line in server.output)
        assert not [line for line in server.output if "never awaited" in line]


def test_a_cancel_still_ends_as_cancelled(tmp_path: Path) -> None:
    modules = write(tmp_path, shout())
    with ServerProcess(tmp_path, modules, MILLRACE_DRAIN="0") as server:
        server.wait_ready("Shout")
        command_id = recite(server)
        server.post("/v1/Shout/cancel_command", commandId=command_id)
        server.stop()
        server.start()
        poll = server.wait_ended("Shout", command_id)
        assert (poll["success"], poll["state"], poll["stop_reason"]) == (True, "cancelled", "cancelled")
