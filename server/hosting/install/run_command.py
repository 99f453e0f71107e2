"""Running a module by hand: its process in the foreground, beside a server that runs and gives it its commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from ...config import ServerSettings
from ...hand_starts import HandStart, forget_start, note_start
from ..process.launch_environment import Launch, launch_environment
from ..process.launch_plan import LaunchError
from .install_steps import InstallError
from .prepared_module import PreparedModule, prepared

_BY_ITSELF_SECONDS = 2.0
"""Ctrl-C reaches the module too: it may be about to end."""
_PATIENCE = 6.0
"""Seconds that a module has to end after it was told to; the SDK takes 5 at most."""

_SIGNALLED = 128
"""The exit status of a process that a signal has ended is this and the signal's number."""


async def run_module(settings: ServerSettings, name: str, port: int, report: Callable[[str], None]) -> int:
    """Run a module until it ends or Ctrl-C is pressed; return its exit status. ``port``: where the server listens."""
    try:
        ready = await prepared(settings, name, report)
        start = await asyncio.to_thread(note_start, settings.data_dir, ready.module.module_id)
    except (InstallError, LaunchError, LookupError, OSError) as error:
        report(f"{name}: {error}")
        return 1
    try:
        return await _to_its_end(ready, start, port)
    finally:
        await asyncio.to_thread(forget_start, settings.data_dir, start)


async def _to_its_end(ready: PreparedModule, start: HandStart, port: int) -> int:
    plan, launch = ready.plan, Launch(start.launch_id, start.secret, port)
    environment = launch_environment(ready.module, launch, ready.macros, os.environ, plan.variables)
    environment["CPAI_MODULE_SERVER_LAUNCHED"] = "false"
    process = await asyncio.create_subprocess_exec(*plan.command, cwd=plan.folder, env=environment)
    asked = asyncio.Event()
    _on_signals(asked)
    ended, stop = asyncio.create_task(process.wait()), asyncio.create_task(asked.wait())
    await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for end, seconds in ((process.terminate, _BY_ITSELF_SECONDS), (process.kill, _PATIENCE)):
        await asyncio.wait((ended,), timeout=seconds)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                end()
    code = await ended
    return code if code >= 0 else _SIGNALLED - code


def _on_signals(asked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, asked.set)
        except NotImplementedError:  # Windows' event loops
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked.set))
