"""Commands as a person types them: with whatever quotes their shell needs."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .layout import WINDOWS

CALLED_FROM = "MILLRACE_CALLED_FROM"
"""Environment variable with the folder that install.sh and install.bat were called in; they go to their own."""
ROOT = Path(__file__).resolve().parent.parent


def shown(command: Sequence[str | Path]) -> str:
    """A command in one line that can be pasted."""
    parts = [str(part) for part in command]
    return subprocess.list2cmdline(parts) if WINDOWS else shlex.join(parts)


def called_from() -> Path:
    """The folder in which the user is."""
    return Path(os.environ.get(CALLED_FROM) or Path.cwd())


def install(*arguments: str) -> str:
    """The installer's own command with these arguments, as it works where the user is."""
    script = "install.bat" if WINDOWS else "install.sh"
    here = called_from() == ROOT
    place = script if here else ROOT / script
    return shown([*([] if WINDOWS else ["bash"]), place, *arguments])
