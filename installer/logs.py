"""The installer's log files: one for each step, the oldest thrown away."""

from __future__ import annotations

import time
from pathlib import Path

KEPT = 40
"""Log files that stay; every run of a step adds one."""


def new_log(folder: Path, name: str) -> Path:
    """Make an empty ``install-<time>-<name>.log`` in ``folder`` and remove the oldest ones beyond ``KEPT``."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"install-{stamp}-{name}.log"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"install-{stamp}-{name}-{number}.log"
    path.touch()
    for old in sorted(folder.glob("install-*.log"), key=lambda log: log.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def last_lines(log: Path, count: int = 15) -> str:
    """The last ``count`` lines of a log that are not empty, indented by four spaces."""
    lines = log.read_text("utf-8", "replace").replace("\r", "\n").splitlines()
    return "\n".join(f"    {line}" for line in [line for line in lines if line.strip()][-count:])
