"""What this machine offers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MOST_CACHE_BYTES = 2 * 1024**3
_WEIGHTS_PER_THREAD = 25_000_000


def usable_cpus() -> set[int]:
    """Numbers of the logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def physical_cores() -> int:
    """How many cores this process may use. Two threads of one core share its arithmetic, so they count once."""
    cpus = usable_cpus()
    siblings = {_siblings(cpu) for cpu in cpus}
    return max(1, len(siblings))


def sensible_threads(parameters: int) -> int:
    """Return how many threads a model of so many weights should compute with: at most the physical cores.

    The threads wait for each other many times per token. For a small model that costs more than the shared work
    saves, and far more when other programs keep the cores busy.
    """
    return max(1, min(physical_cores(), parameters // _WEIGHTS_PER_THREAD))


def sensible_cache_bytes(folder: Path) -> int:
    """Return how large a cache in this folder may grow: a tenth of what the disk has free for it, at most 2 GiB."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    own = sum(_bytes_in(Path(parent, name)) for parent, _, names in os.walk(folder) for name in names)
    return min(_MOST_CACHE_BYTES, (shutil.disk_usage(existing).free + own) // 10)


def _bytes_in(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # another instance that uses the folder has just removed it


def _siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text().strip()
    except OSError:
        return str(cpu)
