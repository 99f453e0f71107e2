"""Which processor this machine has, as far as it decides whether what was built for one runs here. Blocks."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TELLING = {"model name", "flags", "features", "isa", "cpu implementer", "cpu architecture", "cpu variant", "cpu part"}


def processor_fingerprint() -> str:
    """Return a short text that changes with the processor's model and with the instructions it says it has."""
    told = [platform.machine().lower(), *_told_by(_CPUINFO)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _told_by(cpuinfo: Path) -> list[str]:
    """What tells processors apart, each line once: of several kinds of cores every kind counts."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [platform.processor()]
    pairs = (line.partition(":") for line in lines)
    found = {f"{key.strip()}:{value.strip()}" for key, _, value in pairs if key.strip().lower() in _TELLING}
    return sorted(found) or [platform.processor()]
