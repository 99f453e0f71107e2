"""The program of a module as it is on disk: which files it consists of, and what is in them. Everything here blocks.

What a module writes beside it (data, logs, models, ``.pyc`` files, an environment) is not looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ...file_look import stat_if_there

MAX_FOLDERS = 200
MAX_FILES = 2000
MAX_DEPTH = 6
_HASHED_BYTES = 4 * 1024 * 1024
"""Larger files are known by their size and time alone."""
_FOREIGN = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})
_INSTALLATION = ("requirements", "install.")


class CodeFile(msgspec.Struct, frozen=True):
    """One file: when it was written, and what is in it."""

    mtime_ns: int
    size: int
    digest: str


Code = dict[str, CodeFile]
"""Files by their path in the module's folder, with ``/``."""


def read_code(folder: Path, start_file: str, before: Mapping[str, CodeFile]) -> Code:
    """Return a module's program and what it is installed from. Files that look as before are not read again.

    Raises ``OSError`` when something that is there cannot be looked at.
    """
    root = str(folder)
    names = [*_candidates(root), start_file.replace("\\", "/")]
    found: Code = {}
    for name in dict.fromkeys(names):
        path = os.path.join(root, name)
        stat = stat_if_there(path)
        if stat is None:
            continue
        known = before.get(name)
        same = known is not None and (known.mtime_ns, known.size) == (stat.st_mtime_ns, stat.st_size)
        found[name] = known if same and known is not None else _read(path, stat)
    return found


def is_installed_from(name: str) -> bool:
    """Whether a file says how the module is installed, so that only an installation takes it up."""
    return name.lower().startswith(_INSTALLATION)


def code_folders(code: Mapping[str, CodeFile]) -> set[str]:
    """Return the folders with Python files, by their path in the module's folder; its own is ``""``."""
    return {""} | {name.rpartition("/")[0] for name in code if name.endswith(".py")}


def changed_files(before: Mapping[str, CodeFile], now: Mapping[str, CodeFile]) -> list[str]:
    """Return which files have another content, are new or are gone.

    A new one counts where Python files have been before: others may be what the module itself has fetched.
    """
    folders = code_folders(before)
    found = {name for name, file in before.items() if name not in now or now[name].digest != file.digest}
    found |= {name for name in now.keys() - before.keys() if name.rpartition("/")[0] in folders}
    return sorted(found)


def _candidates(folder: str) -> Iterator[str]:
    """The names of Python files in a folder and those below it, and of what it is installed from."""
    waiting, seen, count = [("", 0)], 0, 0
    while waiting and seen < MAX_FOLDERS and count < MAX_FILES:
        where, depth = waiting.pop(0)
        seen += 1
        for entry in sorted(_entries(os.path.join(folder, where)), key=lambda entry: entry.name):
            name = f"{where}/{entry.name}" if where else entry.name
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH and not _is_foreign(entry):
                    waiting.append((name, depth + 1))
            elif name.endswith(".py") or (not where and is_installed_from(name)):
                count += 1
                yield name


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # it went away a moment ago, or is none of its program


def _is_foreign(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower() in _FOREIGN or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))


def _read(path: str, stat: os.stat_result) -> CodeFile:
    digest = f"{stat.st_size} {stat.st_mtime_ns}"
    if stat.st_size <= _HASHED_BYTES:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return CodeFile(stat.st_mtime_ns, stat.st_size, digest)
