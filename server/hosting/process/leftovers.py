"""Module processes that a server which was killed left behind: found again at the next start, and adopted or ended.

Every server keeps one small file with what it has launched, named by its own process. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import msgspec
import psutil

from ...file_look import why
from ...private_files import private_folder, replace_file
from ...set_aside import DAMAGED_JSON, set_aside
from .process_tree import ProcessIdentity, carriers, end_all, identify, is_alive

_FOLDER = "launched"
_UNREADABLE = (*DAMAGED_JSON, IsADirectoryError)
"""What a note that is none raises when it is read."""


class LaunchNote(msgspec.Struct):
    """One launch. ``process`` is ``None`` while it is being started.

    ``secret`` is what the process proves itself with, empty when it cannot come back by itself (published SDK);
    ``recipe`` is the fingerprint of how it was started. ``began_at`` is the time of day of the launch, by the clock
    that files are stamped with: what the system says of a process counts from a boot time in whole seconds.
    """

    launch_id: str
    module_id: str = ""
    queue: str = ""
    secret: str = ""
    recipe: str = ""
    process: ProcessIdentity | None = None
    began_at: float = 0.0

    @property
    def runs_since(self) -> float | None:
        """The time of day at which its process began, as exactly as it is known; ``None`` while it has none."""
        return self.began_at or self.process.create_time if self.process is not None else None


class Launched(msgspec.Struct):
    """What one server has launched."""

    server: ProcessIdentity
    launches: list[LaunchNote] = []


class LaunchRecord:
    """What this server has launched, kept in ``<data dir>/launched/<pid>.json``."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER
        self.path = self._folder / f"{os.getpid()}.json"
        self._lock = threading.Lock()
        self._launched: dict[str, LaunchNote] = {}
        self._server: ProcessIdentity | None = None
        self.unreadable: dict[Path, str] = {}
        """Notes of earlier servers that could not be read, and why."""

    def add(self, note: LaunchNote) -> None:
        """Note a launch before its process exists, so that there is no moment in which it could be missed."""
        with self._lock:
            self._launched[note.launch_id] = note
            self._write()

    def started(self, launch_id: str, pid: int) -> None:
        """Note the process of a launch."""
        with self._lock:
            if launch_id in self._launched:
                self._launched[launch_id].process = identify(pid)
                self._write()

    def remove(self, launch_id: str) -> None:
        """Forget a launch: nothing is left of its processes."""
        with self._lock:
            self._launched.pop(launch_id, None)
            self._write()

    def take_leftovers(self) -> tuple[list[LaunchNote], int]:
        """Return the processes of servers that are gone which can be adopted, and how many others were ended."""
        orphans: list[LaunchNote] = []
        ended = 0
        for path in sorted(self._folder.glob("*.json")):
            record = self._read(path)
            if record is None or is_alive(record.server):
                continue
            adoptable = [note for note in record.launches if _can_be_adopted(note)]
            for note in adoptable:
                self.add(note)
            orphans += adoptable
            ended += end_launches([note for note in record.launches if note not in adoptable])
            with contextlib.suppress(OSError):
                path.unlink()
        return orphans, ended

    def close(self) -> None:
        """Take the file away if nothing is left."""
        with self._lock, contextlib.suppress(OSError):
            if not self._launched:
                self.path.unlink()

    def _read(self, path: Path) -> Launched | None:
        """Return a note; one that says nothing to anybody is set aside, others stay for the next start."""
        try:
            return _decoded(path)
        except _UNREADABLE as error:
            with contextlib.suppress(OSError):
                self.unreadable[path] = f"{error}. It is now {set_aside(path).name}"
        except OSError as error:
            self.unreadable[path] = why(error)
        return None

    def _write(self) -> None:
        self._server = self._server or identify(os.getpid())
        if self._server is None:
            return
        private_folder(self._folder)
        replace_file(self.path, msgspec.json.encode(Launched(self._server, list(self._launched.values()))))


def living_server(data_dir: Path) -> int | None:
    """Return the process of another server that runs on this data folder and has launched something; ``None`` if none.

    Raises ``OSError`` when nobody can tell.
    """
    for path in sorted((data_dir / _FOLDER).glob("*.json")):
        try:
            server = _decoded(path).server
        except (FileNotFoundError, *_UNREADABLE):
            continue
        if server.pid != os.getpid() and is_alive(server):
            return server.pid
    return None


def unreadable_notes(data_dir: Path) -> list[str]:
    """Return the notes about launches that say nothing to anybody, in words."""
    found = []
    for path in sorted((data_dir / _FOLDER).glob("*.json")):
        try:
            _decoded(path)
        except (OSError, *_UNREADABLE) as error:
            found.append(f"{path} cannot be read: {error}.")
    return found


def _decoded(path: Path) -> Launched:
    """Return a note. Raises ``OSError``, and what ``_UNREADABLE`` names when it is no note."""
    return msgspec.json.decode(path.read_bytes(), type=Launched)


def _can_be_adopted(note: LaunchNote) -> bool:
    return bool(note.secret) and note.process is not None and is_alive(note.process)


def end_launches(notes: list[LaunchNote]) -> int:
    """End what these launches have left, and return how many processes that were."""
    found = {process.pid: process for process in carriers({note.launch_id for note in notes})}
    for note in notes:
        if note.process is not None and is_alive(note.process):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[note.process.pid] = psutil.Process(note.process.pid)
    end_all(found.values(), 2.0)
    return len(found)
