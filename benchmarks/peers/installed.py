"""LitServe as a peer, installed from PyPI into an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from server.hosting.uv_tool import find_uv

from ..processes import BenchmarkError, Program, folder_of, free_port

NAME = "LitServe"
INSTALL_SECONDS = 300


def litserve_peer(cache: Path) -> Program:
    """Return LitServe, not started yet. Raises ``BenchmarkError`` when it cannot be installed."""
    python = _installed(cache / "litserve")
    port = free_port()
    return Program([str(python), str(folder_of("peers") / "litserve_app.py"), str(port)], port=port)


def _installed(folder: Path) -> Path:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _uv("venv", str(folder), "--python", sys.executable)
    _uv("pip", "install", "--python", str(python), "litserve")
    return python


def _uv(*arguments: str) -> None:
    uv = find_uv()
    try:
        subprocess.run(
            [*uv.command, *arguments],
            env=uv.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{NAME} cannot be installed: {error.stderr.strip()[-500:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{NAME} cannot be installed: {error}") from None
