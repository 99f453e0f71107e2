"""Running the commands of an installation: all output in one log file, signs of life while a step is silent."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from ..process.process import ChildProcess, describe_exit
from ..process.process_tree import LAUNCH_VARIABLE
from .install_advice import advice_for

Report = Callable[[str], None]
"""Called with one line of progress for people to read."""

HEARTBEAT_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_BUILDING = re.compile(r"^\s*Building (\S+)")
_BUILT = re.compile(r"^\s*Built (\S+)")
_DOWNLOADING = re.compile(r"^\s*Downloading (\S+)(?: \((.+)\))?")
_CAUSE = re.compile(r"^\s*(?:error: |caused? by: |cause: |× |╰─▶ )(.*)", re.IGNORECASE)


class InstallError(Exception):
    """An installation step failed. The text says which, names the log, and says what to do."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command. ``title`` says what it does, ``advice`` what to do when it fails and its output does not tell.

    ``source`` is what a reader knows the list of packages by that it installs, where it is uv that installs them.

    ``seconds``: the most it may take; 0 is no limit.
    """

    title: str
    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    advice: str = ""
    source: str = ""
    seconds: float = 0.0


class Outcome(msgspec.Struct, frozen=True):
    """How a step ended; ``cause`` is the line of its output that explains a failure best, ``output`` its end.

    ``overdue``: it was ended because its time was over.
    """

    code: int
    cause: str
    output: list[str] = []
    overdue: bool = False

    @property
    def how(self) -> str:
        """How it ended, in words."""
        return "its time was over" if self.overdue else describe_exit(self.code)


class InstallLog:
    """Runs the steps of one installation.

    ``path`` is the log file, begun anew. ``launch_id`` marks the processes, so that they can be found if the server
    is killed meanwhile.
    """

    def __init__(self, path: Path, report: Report, launch_id: str, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self.path = path
        self._report = report
        self._launch_id = launch_id
        self._heartbeat = heartbeat
        self._file: TextIO | None = None
        self._unwritten: list[str] = []

    async def open(self) -> None:
        """Begin the log file."""
        self._file = await asyncio.to_thread(_open, self.path)

    async def close(self) -> None:
        """Write the rest and close the file."""
        await self._write()
        if self._file is not None:
            await asyncio.to_thread(self._file.close)

    def say(self, text: str) -> None:
        """Report a line of progress and keep it in the log."""
        self._report(text)
        self.keep(text)

    def keep(self, text: str) -> None:
        """Keep a line of our own in the log without reporting it."""
        self._unwritten.append(f"--- {text}")

    async def run(self, step: Step, announce: bool = True) -> None:
        """Run a step to its end. Raises ``InstallError`` when it fails."""
        outcome = await self.attempt(step, announce)
        if outcome.code != 0:
            raise self.failure(step, outcome)

    def failure(self, step: Step, outcome: Outcome) -> InstallError:
        """Return the error that says how a step has failed, and what to do."""
        cause = f" {outcome.cause}" if outcome.cause else ""
        advice = (advice_for(outcome.output, step.source) if step.source else "") or step.advice
        return InstallError(f"{step.title} failed ({outcome.how}).{cause} The log is {self.path}. {advice}".rstrip())

    async def attempt(self, step: Step, announce: bool = True) -> Outcome:
        """Run a step to its end and tell how it ended; ``announce``: tell people that it begins.

        Raises ``InstallError`` when it cannot be started.
        """
        if announce:
            self.say(f"{step.title} …")
        else:
            self.keep(f"{step.title}, another way")
        activity = _Activity(step.title)
        environment = {**step.environment, LAUNCH_VARIABLE: self._launch_id}
        try:
            process = await ChildProcess.start(
                step.command,
                step.cwd,
                environment,
                lambda line, _: self._take(activity, line),
                self._launch_id,
            )
        except OSError as error:
            raise InstallError(f"{step.title} failed: {step.command[0]} cannot be run ({error.strerror}).") from None
        overdue, deadline = False, time.monotonic() + (step.seconds or math.inf)
        try:
            while not overdue and not await process.wait_for(_LOOK_SECONDS):
                overdue = time.monotonic() > deadline
                await self._write()
                if (sign := activity.sign_of_life(self._heartbeat)) is not None:
                    self.say(sign)
        finally:
            process.kill_now()  # at once, for a cancelled installation too
            await process.stop(0.0)
            await self._write()
        return Outcome(process.exit_code or 0, activity.cause, activity.output, overdue)

    def _take(self, activity: _Activity, line: str) -> None:
        self._unwritten.append(line)
        news = activity.take(line)
        if news is not None:
            self._report(news)

    async def _write(self) -> None:
        lines, self._unwritten = self._unwritten, []
        if self._file is not None and lines:
            await asyncio.to_thread(_write, self._file, lines)


class _Activity:
    """What a running step is doing, read from its output."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._doing = title[0].lower() + title[1:]
        self._building: dict[str, float] = {}
        self._started = time.monotonic()
        self._last_sign = self._started
        self._last: deque[str] = deque(maxlen=200)

    def take(self, line: str) -> str | None:
        """Take a line of output; return what is worth telling about it."""
        self._last.append(line)
        if match := _BUILDING.match(line):
            name = match[1].split("==")[0]
            self._building[name] = time.monotonic()
            return self._told(f"Building {match[1]} …")
        if match := _BUILT.match(line):
            self._building.pop(match[1].split("==")[0], None)
            return self._told(f"Built {match[1]}")
        if (match := _DOWNLOADING.match(line)) and match[2]:
            return self._told(f"Downloading {match[1]} ({match[2]}) …")
        return None

    def sign_of_life(self, heartbeat: float) -> str | None:
        """Return a line about what goes on, if nothing was told for ``heartbeat`` seconds."""
        now = time.monotonic()
        if now - self._last_sign < heartbeat:
            return None
        if self._building:
            name, since = min(self._building.items(), key=lambda item: item[1])
            return self._told(
                f"still building {name}, {_duration(now - since)} so far; 5 to 10 min is normal for a large package"
            )
        return self._told(f"still {self._doing}, {_duration(now - self._started)} so far")

    @property
    def output(self) -> list[str]:
        """The last lines."""
        return list(self._last)

    @property
    def cause(self) -> str:
        """What explains a failure best: the line that calls itself an error with its causes, else the last line."""
        found = [match[1].strip() for line in self._last if (match := _CAUSE.match(line))]
        lines = [line.strip() for line in self._last if line.strip()]
        chosen = ": ".join(dict.fromkeys([*found[:2], found[-1]])) if found else (lines or [""])[-1]
        return chosen if not chosen or chosen.endswith(".") else f"{chosen}."

    def _told(self, text: str) -> str:
        self._last_sign = time.monotonic()
        return text


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8", errors="replace")


def _write(file: TextIO, lines: list[str]) -> None:
    file.writelines(f"{line}\n" for line in lines)
    file.flush()
