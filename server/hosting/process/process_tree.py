"""Finding and ending the descendants of a process, also those that left its group. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
import psutil

from ...file_look import may_pass

LAUNCH_VARIABLE = "MILLRACE_LAUNCH_ID"
"""In the environment of every process a module starts, unless the module clears it."""

_TRIES = 10
_TRY_AGAIN_SECONDS = 0.3
_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied)


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process for certain: process ids are used again, together with the start time they are not.

    On Linux the start time itself changes when the computer's clock is set; how long that was after the system's own
    start does not (``after_boot``; ``None`` in notes of earlier versions).
    """

    pid: Annotated[int, msgspec.Meta(ge=1)]
    create_time: float
    after_boot: float | None = None


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process; ``None`` when there is none with this id. Raises ``OSError``."""
    try:
        created = psutil.Process(pid).create_time()
        return ProcessIdentity(pid, created, created - psutil.boot_time())
    except _GONE:
        return None


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether exactly this process still runs (a zombie does not). Raises ``OSError`` when nobody can tell."""
    try:
        process = psutil.Process(identity.pid)
        return _started_as(process, identity) and process.status() != psutil.STATUS_ZOMBIE
    except _GONE:
        return False


def _started_as(process: psutil.Process, identity: ProcessIdentity) -> bool:
    created = process.create_time()
    if abs(created - identity.create_time) < 1.0:
        return True
    if identity.after_boot is None:
        return False
    return abs(created - psutil.boot_time() - identity.after_boot) < 2.0  # both are known to the second only


def descendants(pid: int, launch_id: str) -> list[psutil.Process]:
    """Return the living children of a process, theirs, and every process that carries the launch id."""
    found = {child.pid: child for child in _patiently(lambda: _children(pid))}
    for process in carriers({launch_id}):
        found[process.pid] = process
    found.pop(pid, None)
    found.pop(os.getpid(), None)
    return list(found.values())


def carriers(launch_ids: set[str]) -> list[psutil.Process]:
    """Return every process of this user whose environment carries one of the launch ids."""
    return _patiently(lambda: [process for process in psutil.process_iter() if _carries(process, launch_ids)])


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except _GONE:
        return []


def _carries(process: psutil.Process, launch_ids: set[str]) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(LAUNCH_VARIABLE) in launch_ids
    except _GONE:
        return False
    except OSError as error:
        if may_pass(error):
            raise
        return False


def _patiently(look: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Look at the processes; while the machine is too short of something for that, again for some seconds."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            return look()
        time.sleep(_TRY_AGAIN_SECONDS)
    return []


def end_all(processes: Iterable[psutil.Process], patience: float) -> None:
    """Ask processes to end, wait up to ``patience`` seconds, then kill the rest. psutil checks that ids still fit."""
    alive = [process for process in processes if _signal(process, kill=False)]
    _, stubborn = psutil.wait_procs(alive, timeout=patience)
    killed = [process for process in stubborn if _signal(process, kill=True)]
    psutil.wait_procs(killed, timeout=3.0)


def end_family(pid: int, known: Iterable[psutil.Process], launch_id: str) -> None:
    """End processes found earlier, and every one that carries the launch id now, except the process itself.

    Its end is the event loop's to wait for: psutil would take the exit code away from it.
    """
    family = {process.pid: process for process in [*known, *carriers({launch_id})] if process.pid != pid}
    if family:
        end_all(family.values(), 0.5)


def signal_group(pid: int, *, kill: bool) -> None:
    """Signal the process group that a process leads; on Windows the process alone. Never raises."""
    try:
        if os.name == "nt":
            psutil.Process(pid).kill()
        else:
            os.killpg(pid, signal.SIGKILL if kill else signal.SIGTERM)
    except (*_GONE, OSError):
        pass


def _signal(process: psutil.Process, *, kill: bool) -> bool:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except _GONE:
        return False
    return True
