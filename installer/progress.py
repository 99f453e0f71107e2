"""Steps as the user sees them: a line when one starts, signs of life while it is silent, a line at its end."""

from __future__ import annotations

import codecs
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from server.hosting.install.install_advice import advice_for

from . import processes
from .commands import shown
from .logs import last_lines, new_log

HEARTBEAT = 15.0
"""Seconds of silence after which a step says that it is still at work."""


class InstallError(Exception):
    """Something the user has to know about; its text says what is wrong and what to do."""


class StepFailedError(InstallError):
    """A step's command ended with an error; the text names the log and says what to do."""


@dataclass(frozen=True)
class Step:
    """One command of the installation.

    ``normal`` tells how long it usually takes, ``advice`` what to do when it fails; ``show`` passes its output
    through to the terminal as it comes; ``quiet_for`` is how many seconds of silence are fine, if not the usual.
    ``source`` is what lists the packages that it installs: then its output tells what to do.
    """

    title: str
    name: str
    command: Sequence[str | Path]
    cwd: Path
    normal: str = "a few seconds"
    advice: str = ""
    show: bool = False
    quiet_for: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def duration(seconds: float) -> str:
    """Seconds in words, e.g. ``"0.4 s"``, ``"42 s"`` or ``"3 min 5 s"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


class Progress:
    """Prints steps to ``out`` and keeps the whole output of each in a file of its own under ``logs``."""

    def __init__(self, logs: Path, out: TextIO | None = None, heartbeat: float = HEARTBEAT) -> None:
        self._logs = logs
        self._out = out if out is not None else sys.stdout
        self._heartbeat = heartbeat
        self._last_sign = time.monotonic()
        self._at_line_start = True
        self._interrupted = False

    def say(self, text: str = "") -> None:
        """Print one line, on a line of its own."""
        self.write(("" if self._at_line_start else "\n") + text + "\n")

    def write(self, text: str) -> None:
        """Print text as it is, at once."""
        if text:
            with contextlib.suppress(OSError):  # the terminal may be gone; the work is not
                self._out.write(text)
                self._out.flush()
            self._at_line_start = text.endswith("\n")
            self._last_sign = time.monotonic()

    def run(self, step: Step) -> None:
        """Run a step to its end. Raises StepFailedError when its command does not end with exit code 0."""
        code, log = self.attempt(step)
        if code != 0:
            raise StepFailedError(_failure(step, code, log))

    def attempt(self, step: Step) -> tuple[int, Path]:
        """Run a step; returns its exit code and its log, whatever the code is."""
        self.say(f"==> {step.title}")
        log, started = new_log(self._logs, step.name), time.monotonic()
        log.write_text(f"{shown(step.command)}\n", "utf-8", "replace")
        code = self._run(step, log, started)
        self.say(f"    {'done' if code == 0 else f'exit code {code}'} ({duration(time.monotonic() - started)})")
        return code, log

    def _run(self, step: Step, log: Path, started: float) -> int:
        try:
            process = processes.start(step.command, cwd=step.cwd, env=processes.child_environment(step.env))
        except OSError as error:
            log.write_text(f"{error}\n", "utf-8")
            return 127
        reader = threading.Thread(target=self._copy, args=(process, log, step.show), daemon=True)
        reader.start()
        try:
            while not _ended(process):
                if time.monotonic() - self._last_sign >= (step.quiet_for or self._heartbeat):
                    elapsed = duration(time.monotonic() - started)
                    self.say(f"    still at it after {elapsed} (normally {step.normal}); log: {log}")
        except BaseException:
            self._interrupted = True  # what the child says about it belongs into the log alone
            processes.stop(process)
            raise
        finally:
            reader.join(5)
        return process.returncode

    def _copy(self, process: subprocess.Popen[bytes], log: Path, show: bool) -> None:
        assert process.stdout is not None
        text = codecs.getincrementaldecoder("utf-8")("replace")
        # Not line by line: a test runner's dots and a download's percentages come without line ends.
        with process.stdout as output, log.open("ab", buffering=0) as file:
            while chunk := os.read(output.fileno(), 8192):
                file.write(chunk)
                if show and not self._interrupted:
                    self.write(text.decode(chunk))


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(0.2)
    except subprocess.TimeoutExpired:
        return False
    return True


def _failure(step: Step, code: int, log: Path) -> str:
    what = f"Failed: {step.title} (exit code {code})."
    said = "" if step.show else f"\n\nThe last lines it printed:\n{last_lines(log)}"
    printed = log.read_text("utf-8", "replace").splitlines()
    advice = (advice_for(printed, step.source) if step.source else "") or step.advice
    return f"{what}{said}\n\nThe whole log: {log}\n{advice}".rstrip()
