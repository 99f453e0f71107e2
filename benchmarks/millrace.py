"""The server under measurement, with a data folder of its own and the benchmarks' modules."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .processes import BenchmarkError, Program, folder_of, wait_until

READY_SECONDS = 300.0
PING = "/v1/server/status/ping"


class Millrace(Program):
    """``python -m server``. ``modules``: names of folders beside this file that hold modules."""

    def __init__(self, folder: Path, modules: tuple[str, ...] = ("modules",)) -> None:
        command = [sys.executable, "-m", "server", "--port", "0"]
        command += ["--data-dir", str(folder / "data"), "--modules-dir", str(folder / "modules")]
        super().__init__(command, {"MILLRACE_ENVIRONMENTS_DIR": str(folder.parent / "environments")})
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in modules:
            shutil.copytree(folder_of(name), folder / "modules", dirs_exist_ok=True)
        (folder / "modules").mkdir(parents=True, exist_ok=True)

    def start(self) -> float:
        """Start the server; a restart keeps the port."""
        self.command[self.command.index("--port") + 1] = str(self.port)
        return super().start()

    def get(self, path: str) -> Any:
        """Return the JSON that a GET answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str) -> Any:
        """Return the JSON that an empty POST answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def wait_ping(self) -> None:
        """Wait until the server answers a ping."""
        wait_until("the server answers", self._pings)

    def wait_ready(self, module_id: str) -> float:
        """Wait until the module has answered a real command; return how many seconds that took."""
        began = time.monotonic()
        wait_until(f"{module_id} is ready", lambda: self._is_ready(module_id), READY_SECONDS)
        return time.monotonic() - began

    def _pings(self) -> bool:
        try:
            return bool(self.get(PING)["success"])
        except (OSError, urllib.error.URLError):
            return False

    def _is_ready(self, module_id: str) -> bool:
        statuses = self.get("/v1/module/list/status").get("statuses") or []
        entry: dict[str, Any] = next((entry for entry in statuses if entry["moduleId"] == module_id), {})
        if entry.get("state") == "Failed":
            raise BenchmarkError(f"{module_id} has failed: {entry.get('stateReason')}")
        return entry.get("state") in ("Ready", "Busy")
