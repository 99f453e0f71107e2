"""A real server whose processes are killed: it, its module, or both, at any moment."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import psutil

from .server_process import ROOT, ServerProcess

TALKER = ROOT / "tests" / "support" / "modules" / "Talker"


class ChaosServer:
    """A server with the talker as its only module. Every method blocks. Use as a context manager."""

    def __init__(self, folder: Path, **environment: str) -> None:
        modules = folder / "modules"
        shutil.copytree(TALKER, modules / "Talker")
        _add_idempotent_route(modules / "Talker" / "modulesettings.json")
        self._start_file = str(modules / "Talker" / "talker.py")
        self.server = ServerProcess(folder, modules, 0, **environment)
        self.starts = 0

    def __enter__(self) -> ChaosServer:
        self.start()
        self.server.wait_ready("Talker")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def start(self) -> None:
        """Start the server, at the port it had."""
        self.starts += 1
        self.server.start()

    def kill_server(self) -> None:
        """SIGKILL the server process alone."""
        self.server.kill()

    def stop_server(self) -> None:
        """SIGTERM: it lets what is quick end, and tells the module to stop."""
        self.server.stop()

    def freeze(self, seconds: float, *, module: bool) -> None:
        """SIGSTOP the server or its module, and let it go on after that long."""
        assert self.server.process is not None
        pids = self.module_pids() if module else [self.server.process.pid]
        _signal_all(pids, signal.SIGSTOP)
        time.sleep(seconds)
        _signal_all(pids, signal.SIGCONT)

    @property
    def records(self) -> Path:
        """Where the server keeps its records."""
        return self.server.folder / "data" / "records"

    def kill_module(self) -> int:
        """SIGKILL every process of the module, and return how many there were."""
        killed = 0
        for pid in self.module_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed

    def kill_while_starting(self, seconds: float) -> None:
        """Start the server and kill it again after that long, wherever it is then."""
        started = threading.Thread(target=self._start_in_vain, daemon=True)
        before = self.server.process
        started.start()
        while self.server.process is before:
            time.sleep(0.001)
        time.sleep(seconds)
        self.server.kill()
        started.join(30)

    def module_pids(self) -> list[int]:
        """Return the processes of the module that are alive."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and self._start_file in process.cmdline():
                    found.append(process.pid)
        return found

    def _start_in_vain(self) -> None:
        with contextlib.suppress(AssertionError):  # it is killed before it listens
            self.start()


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _add_idempotent_route(settings: Path) -> None:
    """``talker/again`` counts like ``talker/count``, and may be run again after its process died."""
    route = '{"Route": "talker/again", "Command": "count", "LongRunning": true, "Idempotent": true},'
    settings.write_text(settings.read_text().replace('"RouteMaps": [', f'"RouteMaps": [{route}'))
