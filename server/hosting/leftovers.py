"""Module processes that a server which was killed left behind: found again, and ended, at the next start.

Every server keeps one small file with what it has launched, named by its own process. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import msgspec
import psutil

from .process_tree import ProcessIdentity, carriers, end_all, identify, is_alive

_FOLDER = "launched"


class Launched(msgspec.Struct):
    """What one server has launched: launch id → process, ``None`` while it is being started."""

    server: ProcessIdentity
    processes: dict[str, ProcessIdentity | None] = {}


class LaunchRecord:
    """What this server has launched, kept in ``<data dir>/launched/<pid>.json``."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER
        self._file = self._folder / f"{os.getpid()}.json"
        self._lock = threading.Lock()
        self._launched: dict[str, ProcessIdentity | None] = {}

    def add(self, launch_id: str) -> None:
        """Note a launch before its process exists, so that there is no moment in which it could be missed."""
        self._set(launch_id, None)

    def started(self, launch_id: str, pid: int) -> None:
        """Note the process of a launch."""
        self._set(launch_id, identify(pid))

    def remove(self, launch_id: str) -> None:
        """Forget a launch: nothing is left of its processes."""
        with self._lock:
            self._launched.pop(launch_id, None)
            self._write()

    def end_leftovers(self) -> int:
        """End what servers that are gone have left behind. Returns how many processes that were."""
        ended = 0
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Launched)
            except (OSError, msgspec.DecodeError):
                record = None
            if record is not None and is_alive(record.server):
                continue
            if record is not None:
                ended += _end(record)
            with contextlib.suppress(OSError):
                path.unlink()
        return ended

    def close(self) -> None:
        """Take the file away if nothing is left."""
        with self._lock, contextlib.suppress(OSError):
            if not self._launched:
                self._file.unlink()

    def _set(self, launch_id: str, identity: ProcessIdentity | None) -> None:
        with self._lock:
            self._launched[launch_id] = identity
            self._write()

    def _write(self) -> None:
        server = identify(os.getpid())
        if server is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".new")
        partial.write_bytes(msgspec.json.encode(Launched(server, self._launched)))
        partial.replace(self._file)


def _end(record: Launched) -> int:
    found = {process.pid: process for process in carriers(set(record.processes))}
    for identity in record.processes.values():
        if identity is not None and is_alive(identity):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[identity.pid] = psutil.Process(identity.pid)
    end_all(found.values(), 2.0)
    return len(found)
