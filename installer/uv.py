"""Which uv fills the server's environment."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .layout import Layout

OLDEST = (0, 5)
REQUIREMENT = "uv>=0.5"


def find(layout: Layout) -> Path | None:
    """The environment's own uv, else one in PATH that is recent enough, else None."""
    own = layout.tool("uv")
    if own.exists():
        return own
    found = shutil.which("uv")
    return Path(found) if found and _version(found) >= OLDEST else None


def _version(program: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    numbers = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, numbers.groups())) if numbers else ()
