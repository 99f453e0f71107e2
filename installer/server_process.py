"""The server as a child of the installer: started, watched, asked to stop exactly as often as the user asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from . import processes
from .layout import WINDOWS
from .progress import Progress

STOP_PATIENCE = 90.0
"""Seconds a server that was asked to stop may take before it is killed."""
_KEPT_LINES = 30


class ServerProcess:
    """Runs ``command`` and reads what it prints: kept for error messages, and shown once :meth:`show` is called."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, progress: Progress) -> None:
        self._progress = progress
        self._shown = False
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = processes.start(command, cwd=cwd, env=processes.child_environment())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def show(self) -> None:
        """From now on, pass the server's output through."""
        self._shown = True

    def last_lines(self) -> str:
        """The last lines the server printed, indented."""
        return "\n".join(f"    {line}" for line in list(self._lines))

    def signal(self, number: int) -> None:
        """Signal the server alone; it is the server's business to stop its modules."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> int | None:
        """Wait up to ``seconds`` for the end; returns the exit code, or None while the server runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def finish(self, seconds: float = STOP_PATIENCE) -> int:
        """Wait for a server that was asked to stop, kill it when it takes too long; returns the exit code."""
        code = self.wait(seconds)
        if code is None:
            self._progress.say(f"The server has not stopped within {seconds:.0f} seconds; ending it.")
            processes.stop(self._process, patience=1)
            code = self._process.returncode
        self._reader.join(5)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode("utf-8", "replace").rstrip()
                self._lines.append(line)
                if self._shown:
                    self._progress.say(line)


class StopRequests:
    """Counts the user's wishes to stop and forwards each to the server once.

    The first means "finish and stop", a second one "now"; the server knows that, so nothing is added or merged here.
    """

    def __init__(self) -> None:
        self.count = 0
        self._server: ServerProcess | None = None

    @property
    def made(self) -> bool:
        """Whether the user has asked to stop."""
        return self.count > 0

    def forward_to(self, server: ServerProcess) -> None:
        """Forward to this server from now on, including a wish that came before it was there."""
        self._server = server
        if self.made:
            server.signal(signal.SIGTERM)

    def request(self, number: int = signal.SIGTERM) -> None:
        """Ask the server to stop, as the signal ``number`` does."""
        self.count += 1
        # On Windows the console has told the server itself.
        if self._server is not None and not (WINDOWS and number == signal.SIGINT):
            self._server.signal(number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals that mean "stop" inside the block."""

        def caught(number: int, _frame: FrameType | None) -> None:
            self.request(number if number == signal.SIGINT else signal.SIGTERM)

        before = {number: signal.signal(number, caught) for number in _stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop_signals() -> list[int]:
    names = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # nohup has SIGHUP ignored, and means it.
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT]


def ended_as_asked(code: int) -> bool:
    """Whether an exit code is what a server leaves that was asked to stop, even while it was still starting."""
    asked = (signal.SIGINT, signal.SIGTERM)
    return code == 0 or (os.name == "posix" and code in {-number for number in asked})
