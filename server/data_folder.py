"""One server for each data folder: a lock that its process holds, and a note that says who and where it is.

The lock is the system's (``flock``, ``LockFileEx``), so a process that dies has let go of it. Where a file system has
no such locks, it is a file that names machine and process; one whose process is gone from this machine does not count.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from .hosting.process.leftovers import living_server, unreadable_notes
from .private_files import FILE_MODE, private_folder, replace_file
from .set_aside import DAMAGED_JSON, only_file

LOCK_NAME = "server.lock"
NOTE_NAME = "server.json"
PATIENCE_SECONDS = 1.0
"""A server that has just been killed may still be about to end."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class OccupiedError(Exception):
    """Another server uses the data folder; the text says which one and what to do."""


class Occupant(msgspec.Struct, frozen=True):
    """The server that uses a data folder. ``address`` is empty while it is not known."""

    pid: int
    address: str = ""


class DataFolder:
    """The data folder of this server. Nothing in it may be touched before it is taken. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: BaseFileLock | None = None
        self.damaged: list[str] = []
        """What stood where the lock or the note belongs, in words."""

    def take(self, address: str = "") -> None:
        """Keep other servers out, until ``release`` or the end of the process.

        Raises ``OccupiedError``, and ``OSError`` when the folder cannot be written.
        """
        private_folder(self._path)
        self.damaged = [text for name in (LOCK_NAME, NOTE_NAME) if (text := only_file(self._path / name))]
        try:
            self._lock = _locked(self._path / LOCK_NAME, PATIENCE_SECONDS)
        except Timeout:
            raise OccupiedError(_refusal(self._path, _noted(self._path))) from None
        if (pid := living_server(self._path)) is not None:  # one of an earlier version, which has no lock
            self.release()
            raise OccupiedError(_refusal(self._path, Occupant(pid)))
        self.announce(address)

    def announce(self, address: str) -> None:
        """Note where the server is, for whoever wants the folder too. On a full disk there is no note, but a lock."""
        with contextlib.suppress(OSError):
            replace_file(self._path / NOTE_NAME, msgspec.json.encode(Occupant(os.getpid(), address)))

    def release(self) -> None:
        """Let others have the folder."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                (self._path / NOTE_NAME).unlink(missing_ok=True)
            lock.release()


def running_server(path: Path) -> str:
    """Return the address of the server that uses a data folder; empty when there is none."""
    noted = _noted(path) if occupied_by_another(path) else None
    return "" if noted is None else noted.address


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep servers out of a data folder for a moment, and change nothing in it. Raises ``Timeout`` and ``OSError``."""
    lock = _locked(path / LOCK_NAME, PATIENCE_SECONDS)
    try:
        yield
    finally:
        lock.release()


def damaged_notes(path: Path) -> list[str]:
    """Return what servers have noted in a data folder about their launches and nobody can read, in words."""
    return unreadable_notes(path)


def occupied_by_another(path: Path) -> str:
    """Return why a server could not use a data folder because of another one; empty when it could. Touches nothing."""
    lock = path / LOCK_NAME
    try:
        if lock.exists():
            _locked(lock, 0).release()
        pid = living_server(path)
    except Timeout:
        return _refusal(path, _noted(path))
    except OSError:
        return ""  # that is another matter, which the server tells at its start
    return "" if pid is None else _refusal(path, Occupant(pid))


def _locked(path: Path, patience: float) -> BaseFileLock:
    """Return the lock, held. Raises ``Timeout`` when somebody else holds it, and ``OSError``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it had to take the other kind is no news for the user
        try:
            return _acquired(FileLock(path, mode=FILE_MODE, thread_local=False), patience)
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return _acquired(SoftFileLock(path.with_suffix(".pid"), mode=FILE_MODE, thread_local=False), patience)


def _acquired(lock: BaseFileLock, patience: float) -> BaseFileLock:
    lock.acquire(timeout=patience, poll_interval=0.05)
    return lock


def _noted(path: Path) -> Occupant | None:
    try:
        return msgspec.json.decode((path / NOTE_NAME).read_bytes(), type=Occupant)
    except (OSError, *DAMAGED_JSON):
        return None


def _refusal(path: Path, occupant: Occupant | None) -> str:
    where = f" at {occupant.address}" if occupant is not None and occupant.address else ""
    who = f" (process {occupant.pid})" if occupant is not None else ""
    return (
        f"Another server{where}{who} is using the data folder {path}, and a data folder has room for one. "
        "Use that server, stop it, or choose another folder (--data-dir, MILLRACE_DATA_DIR)."
    )
