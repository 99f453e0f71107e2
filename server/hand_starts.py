"""Notes of module processes that somebody has started by hand: from ``python -m server modules run`` to the server.

They are files in the data folder that only its user can write or read, and that is the proof. Everything blocks.
"""

from __future__ import annotations

import contextlib
import secrets
import uuid
from pathlib import Path

import msgspec
import psutil

from .private_files import private_folder, replace_file
from .set_aside import DAMAGED_JSON

_FOLDER = "started_by_hand"


class HandStart(msgspec.Struct, frozen=True):
    """One start. ``secret``: what the module's process proves itself with; ``pid``: who started it and waits for it."""

    launch_id: str
    module_id: str
    secret: str
    pid: int
    create_time: float

    @property
    def lives(self) -> bool:
        """Whether the process that waits for the module's still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def end_children(self) -> None:
        """Kill what it has started: the module's process and all that is below it."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()


def note_start(data_dir: Path, module_id: str) -> HandStart:
    """Tell the server of a process of this module that this process is about to start. Raises ``OSError``."""
    own = psutil.Process()
    start = HandStart(str(uuid.uuid4()), module_id, secrets.token_urlsafe(32), own.pid, own.create_time())
    private_folder(data_dir / _FOLDER)
    replace_file(_path(data_dir, start), msgspec.json.encode(start))
    return start


def forget_start(data_dir: Path, start: HandStart) -> None:
    """The process has ended."""
    with contextlib.suppress(OSError):
        _path(data_dir, start).unlink()


def living_starts(data_dir: Path) -> list[HandStart]:
    """Return the starts whose processes live, and take the notes of others away. What is no note is passed over."""
    living = []
    for path in sorted((data_dir / _FOLDER).glob("*.json")):
        try:
            start = msgspec.json.decode(path.read_bytes(), type=HandStart)
        except (OSError, *DAMAGED_JSON):
            continue
        if start.lives:
            living.append(start)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return living


def _path(data_dir: Path, start: HandStart) -> Path:
    return data_dir / _FOLDER / f"{start.launch_id}.json"
