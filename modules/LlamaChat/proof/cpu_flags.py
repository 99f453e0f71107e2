"""Which instructions the processor says it has."""

from __future__ import annotations

import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def architecture() -> str:
    """Return ``x86_64``, ``arm64``, or what the system calls it."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(name, name)


def cpu_flags(cpuinfo: Path = _CPUINFO) -> set[str] | None:
    """Return the names of the instruction sets as Linux knows them, ``None`` where the system does not list them."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith(("flags", "Features"))), None)
