"""The programs of a benchmark: started, found on their port, looked at, and ended."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil

from server.config import ROOT
from server.hosting.process.uv_tool import clean_environment

T = TypeVar("T")
_LISTENS = re.compile(r"listens on http://[^ ]*:(\d+)")


class BenchmarkError(Exception):
    """A measurement could not be made; the text says why."""


def wait_until(what: str, probe: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Call ``probe`` until it returns something true. Raises ``BenchmarkError`` when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.002)
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Program:
    """A process that serves on a port which it prints, or which it was given. Use as a context manager."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None, port: int = 0) -> None:
        """``port``: where it will listen; 0: it prints ``listens on http://…:PORT``."""
        self.command = command
        self.environment = dict(environment or {})
        self.port = port
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> float:
        """Start the process, wait until it takes connections, and return how many seconds that took."""
        began = time.monotonic()
        self.lines = []
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={**clean_environment(dict(psutil.Process().environ())), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        wait_until(f"{self.command} listens", self._listens)
        return time.monotonic() - began

    def stop(self) -> None:
        """Ask the process to end, and make it and all it has started."""
        started = [] if self.process is None else self._psutil().children(recursive=True)
        self._end(lambda process: process.terminate())
        for child in started:
            with contextlib.suppress(psutil.Error):
                child.kill()

    def kill(self) -> None:
        """Kill the process without a warning, and nothing that it has started."""
        self._end(lambda process: process.kill())

    def memory(self) -> float:
        """Return the resident memory of the process alone, in MiB."""
        return float(self._psutil().memory_info().rss) / 1024**2

    def cpu_seconds(self) -> float:
        """Return the processor time the process alone has used so far."""
        times = self._psutil().cpu_times()
        return float(times.user + times.system)

    def cpu_seconds_of_all(self) -> float:
        """Return the processor time that the process and all it has started have used so far."""
        started = [self._psutil(), *self._psutil().children(recursive=True)]
        times = [process.cpu_times() for process in started]
        return sum(float(time.user + time.system) for time in times)

    def _psutil(self) -> psutil.Process:
        assert self.process is not None
        return psutil.Process(self.process.pid)

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            text = "".join(self.lines[-20:])
            raise BenchmarkError(f"{self.command} ended with {self.process.returncode}:\n{text}")
        if not self.port and (found := _LISTENS.search("".join(self.lines))):
            self.port = int(found.group(1))
        return bool(self.port) and _answers(self.port)

    def _end(self, ask: Callable[[subprocess.Popen[str]], None]) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        ask(process)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[str]) -> None:
        # Until the last process that holds the pipe has ended, which may be later than ours.
        assert process.stdout is not None
        with process.stdout as output:
            self.lines.extend(output)


def bare_peer(name: str = "bare") -> Program:
    """Return one of the peers that are modules of ours, not started yet."""
    return Program([sys.executable, "-m", f"benchmarks.peers.{name}"])


def run_json(command: list[str], seconds: float = 300.0) -> Any:
    """Run a helper of ours to its end and return the JSON object in its last line. Raises ``BenchmarkError``."""
    import json

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise BenchmarkError(f"{command} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def folder_of(name: str) -> Path:
    """Return one of the folders beside this file."""
    return Path(__file__).resolve().parent / name
