"""Somebody sets the computer's clock by hours under a running server: a real one, whose ``time.time`` is set for it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import diskcache
import pytest

from tests.support.hosting_modules import write_module
from tests.support.server_process import ServerProcess, wait_until

PATCH = """
import os
import time

true = time.time


def set_by_somebody():
    with open(os.environ["CLOCK_OFFSET_FILE"]) as file:
        return true() + float(file.read())


time.time = set_by_somebody
"""
MODULE = """
import time

from codeproject_ai_sdk import ModuleRunner, RequestData


class Slow(ModuleRunner):
    def process(self, data: RequestData):
        return self.work

    def work(self, data: RequestData):
        while data.get_value("text") == "busy" and not data.reply.cancelled:
            data.reply.update(beat=1)
            time.sleep(0.1)
        return {"success": True, "reply": "done"}


if __name__ == "__main__":
    Slow().start_loop()
"""
HOUR = 3600.0


class Computer:
    """A server process with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "offset"
        self.set(0.0)
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(PATCH)
        routes = [{"Route": "test/slow", "Command": "slow", "LongRunning": True}]
        write_module(folder / "modules", "Slow", MODULE, RouteMaps=routes)
        self.server = ServerProcess(
            folder,
            folder / "modules",
            PYTHONPATH=str(folder / "site"),
            CLOCK_OFFSET_FILE=str(self._offset),
            MILLRACE_DRAIN="0",
            MILLRACE_QUEUE_TIMEOUT="600",
            MILLRACE_RESULT_RETENTION="600",
        )
        self._records = folder / "data" / "records"

    def set(self, offset: float) -> None:
        """Set the server's clock this far from the true one."""
        changed = self._offset.with_suffix(".new")
        changed.write_text(str(offset))
        os.replace(changed, self._offset)
        self.offset = offset

    def wait_for_a_sweep(self) -> None:
        """Wait until the server has looked for what is due, at the time that its clock shows now."""
        now = time.time() + self.offset
        wait_until("a sweep", lambda: abs(self._noted() - now) < 60, 60)

    def _noted(self) -> float:
        with diskcache.Cache(str(self._records), disk=diskcache.JSONDisk, eviction_policy="none") as cache:
            noted: dict[str, Any] = cache["sign of life"]
        return float(noted["wall"])


def start(server: ServerProcess, text: str) -> str:
    return str(server.post("/v1/test/slow", text=text)["commandId"])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("offset", [5 * HOUR, -5 * HOUR])
def test_nothing_expires_and_nothing_is_forgotten(tmp_path: Path, offset: float) -> None:
    computer = Computer(tmp_path)
    with computer.server as server:
        server.wait_ready("Slow")
        process = server.module("Slow")["started"]
        done = start(server, "quick")
        server.wait_ended("Slow", done)
        busy = start(server, "busy")
        waiting = [start(server, "quick") for _ in range(20)]
        wait_until("some wait", lambda: server.get(f"/v1/commands/{waiting[-1]}")["state"] == "queued")
        computer.set(offset)
        computer.wait_for_a_sweep()
        assert server.get(f"/v1/commands/{done}")["state"] == "completed"
        assert server.get(f"/v1/commands/{busy}")["state"] == "running"
        assert server.get(f"/v1/commands/{waiting[-1]}")["state"] == "queued"
        assert server.module("Slow")["started"] == process
        shown = server.get(f"/v1/commands/{done}")["created_at"]
        assert abs(shown - (time.time() + offset)) < 120, "it is shown by the clock as it is now"
        server.kill()  # its module lives on, and is known again
        server.start()
        assert server.get(f"/v1/commands/{done}")["state"] == "completed"
        assert server.get(f"/v1/commands/{busy}")["state"] == "running"
        assert server.get(f"/v1/commands/{waiting[-1]}")["state"] == "queued"
        server.post("/v1/Slow/cancel_command", commandId=busy)
        for command_id in (busy, *waiting):
            server.wait_ended("Slow", command_id)
