"""Files that only this user may read: what people ask, show and are told stands in the data folder.

Whatever the umask is. Where a file system has no such rights (Windows has its own), nothing changes. Everything blocks.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path) -> None:
    """Make a folder that only this user may look into, also when it is there already. Raises ``OSError``."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # it is somebody else's, who let us in
        if path.stat().st_mode & _OTHERS:
            path.chmod(FOLDER_MODE)


def opener(name: str, flags: int) -> int:
    """Open a file for ``open``; if it is new, only this user may read it."""
    return os.open(name, flags, FILE_MODE)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises ``OSError``."""
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    with open(partial, "xb", opener=opener) as file:
        file.write(content)
    partial.replace(path)


def make_private(folder: Path, apart: Collection[Path]) -> list[Path]:
    """Take from all others what they may do in a folder and below; return where that was not allowed.

    ``apart``: folders that are left as they are.
    """
    refused = [] if _take_from_others(folder) else [folder]
    for name, folders, files in os.walk(folder):
        inside = Path(name)
        folders[:] = [one for one in folders if inside / one not in apart]
        refused += [inside / one for one in (*folders, *files) if not _take_from_others(inside / one)]
    return refused


def _take_from_others(path: Path) -> bool:
    """Whether it has been done, or need not be."""
    try:
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
