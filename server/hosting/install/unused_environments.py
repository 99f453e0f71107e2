"""The environments of modules that are not there any more: found and named, never deleted by itself. Blocks."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ...config import ServerSettings
from ..settings.scanner import FoundModule

_SHARED = "shared-"
_MIB = 1024 * 1024


def unused_environments(settings: ServerSettings, modules: Iterable[FoundModule]) -> list[Path]:
    """Return the environments that none of all the modules uses.

    None of those in a folder of their own setting: other servers may use them.
    """
    if settings.environments_dir != Path():
        return []
    found = list(modules)
    used = {name.lower() for module in found for name in (module.module_id, module.folder.name)}
    used |= {module.settings.instance_of.lower() for module in found if module.settings is not None}
    sharing = any(module.settings is None or module.settings.location == "shared" for module in found)
    return [
        path
        for path in _environments(settings.environments_folder)
        if path.name.lower() not in used and not (sharing and path.name.startswith(_SHARED))
    ]


def how_to_delete(environment: Path) -> str:
    """Return a sentence with an environment's place, its size, and the command that deletes it."""
    where = str(environment)
    command = f"rmdir /s /q {subprocess.list2cmdline([where])}" if os.name == "nt" else f"rm -r {shlex.quote(where)}"
    size = _size(environment) / _MIB
    return f"The environment {where} ({size:.0f} MB) is of no module that is here. To delete it: {command}"


def _environments(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in entries if not path.name.startswith(".") and (path / "pyvenv.cfg").is_file()]


def _size(folder: Path) -> int:
    """Bytes on disk; what uv has linked from its cache counts, too, and is freed only when that goes as well."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total
