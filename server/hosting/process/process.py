"""One child process: its start, its output line by line, its end, and the end of everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from .output_lines import LineSplitter
from .process_tree import descendants, end_family, signal_group

OnLine = Callable[[str, bool], None]
"""Called with every line and whether it came from stderr."""

MAX_BYTES_PER_SECOND = 4 * 1024 * 1024
MAX_LINES_PER_SECOND = 20_000
"""A process that prints faster waits: reading goes on in the next second."""
_OUTPUT_AFTER_EXIT = 0.5
_KILLED_SECONDS = 10.0
"""A killed process ends at once, unless the system holds it in a call that cannot be interrupted."""
_STDERR = 2
_CRASHES = {int(getattr(signal, name, 0)) for name in ("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT", "SIGBUS")} - {0}


class _Output(asyncio.SubprocessProtocol):
    """Receives the output; ``ended`` is set when the process has ended, ``drained`` when its pipes have closed."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._splitters: dict[int, LineSplitter] = {}
        self._transport: asyncio.SubprocessTransport | None = None
        self._second = 0
        self._bytes = 0
        self._lines = 0
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        chunk = data if isinstance(data, bytes) else data.encode()
        lines = self._splitters.setdefault(fd, LineSplitter()).feed(chunk)
        for line in lines:
            self._on_line(line, fd == _STDERR)
        self._slow_down(fd, len(chunk), len(lines))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._last_line(fd)

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.drained.done():
            self.drained.set_result(None)

    def finish(self) -> None:
        """Hand over lines without an end; nobody will end them now."""
        for fd in list(self._splitters):
            self._last_line(fd)

    def _last_line(self, fd: int) -> None:
        for line in self._splitters.pop(fd, LineSplitter()).end():
            self._on_line(line, fd == _STDERR)

    def _slow_down(self, fd: int, size: int, lines: int) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._bytes, self._lines = second, 0, 0
        self._bytes += size
        self._lines += lines
        too_fast = self._bytes > MAX_BYTES_PER_SECOND or self._lines > MAX_LINES_PER_SECOND
        pipe = self._transport.get_pipe_transport(fd) if self._transport is not None else None
        if too_fast and isinstance(pipe, asyncio.ReadTransport):
            pipe.pause_reading()
            asyncio.get_running_loop().call_later(1.0, _resume, pipe)


def _resume(pipe: asyncio.ReadTransport) -> None:
    if not pipe.is_closing():
        pipe.resume_reading()


class ChildProcess:
    """A started process, leader of its own process group (session), without a terminal and without input."""

    def __init__(self, transport: asyncio.SubprocessTransport, output: _Output, launch_id: str) -> None:
        self._transport = transport
        self._output = output
        self._launch_id = launch_id
        self.pid: int = transport.get_pid()

    @classmethod
    async def start(
        cls, command: Sequence[str], cwd: Path, environment: Mapping[str, str], on_line: OnLine, launch_id: str = ""
    ) -> ChildProcess:
        """Start a process. ``launch_id`` is in its environment and finds its descendants later. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        starting = asyncio.ensure_future(
            loop.subprocess_exec(
                lambda: _Output(on_line),
                *command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=str(cwd),
                env=dict(environment),
                **_own_group(),
            )
        )
        try:
            transport, output = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio itself would kill only this process, and not what it may have started already.
            with contextlib.suppress(OSError):
                await cls(*await starting, launch_id).stop(0.0)
            raise
        return cls(transport, output, launch_id)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, ``None`` while it runs."""
        return self._transport.get_returncode()

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return not self._output.ended.done()

    async def wait(self) -> int:
        """Wait for the end of the process itself and return its exit code."""
        await asyncio.shield(self._output.ended)
        code = self.exit_code
        return code if code is not None else -1

    async def wait_for(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the end; whether it has ended."""
        await asyncio.wait((self._output.ended,), timeout=seconds)
        return not self.running

    async def stop(self, patience: float) -> None:
        """End the process and all it started: SIGTERM to the group, ``patience`` seconds, then SIGKILL.

        Returns when nothing of it is left. Also right for a process that has ended by itself.
        """
        try:
            family = await asyncio.to_thread(descendants, self.pid, self._launch_id) if self._launch_id else []
            if self.running:
                signal_group(self.pid, kill=False)
                await self.wait_for(patience)
            self.kill_now()
            if self._launch_id:
                await asyncio.to_thread(end_family, self.pid, family, self._launch_id)
            await self.wait_for(_KILLED_SECONDS)
            await asyncio.wait((self._output.drained,), timeout=_OUTPUT_AFTER_EXIT)
        finally:  # also when the wait for it is given up
            self._output.finish()
            self._transport.close()

    def kill_now(self) -> None:
        """Kill the process group at once, without waiting for anything."""
        signal_group(self.pid, kill=True)


def is_crash(code: int) -> bool:
    """Whether native code ended a process: by what the processor refused to do, or by giving up."""
    return -code in _CRASHES


def describe_exit(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def _own_group() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": 0x00000200 | 0x08000000}  # CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW
    return {"start_new_session": True}
