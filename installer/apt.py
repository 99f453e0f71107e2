"""Installing Debian packages where that needs no question: as root, with apt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .progress import Progress, Step

_ENV = {"DEBIAN_FRONTEND": "noninteractive"}
_ADVICE = "Check the network and the package sources (apt-get update), then run the same command again."


def usable() -> bool:
    """Whether packages can be installed without asking: apt exists and this is root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def command_for(packages: Sequence[str]) -> str:
    """What a person types to install ``packages``."""
    return f"sudo apt-get install {' '.join(packages)}"


def install(packages: Sequence[str], progress: Progress, cwd: Path) -> None:
    """Install packages, refreshing the package lists first. Raises StepFailedError."""
    steps = (
        ("Refreshing apt's package lists", "apt-update", ["apt-get", "update"]),
        (
            f"Installing {', '.join(packages)} with apt",
            "apt-install",
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
        ),
    )
    for title, name, command in steps:
        progress.run(Step(title, name, command, cwd, normal="up to 2 minutes", advice=_ADVICE, env=_ENV))
