"""Peers and tools from PyPI, each set in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from server.hosting.process.uv_tool import find_uv

from ..processes import BenchmarkError, Program, folder_of, free_port

NAME = "LitServe"
INSTALL_SECONDS = 300


def litserve_peer(cache: Path) -> Program:
    """Return LitServe, not started yet. Raises ``BenchmarkError`` when it cannot be installed."""
    python = installed(cache / "litserve", NAME, "litserve")
    port = free_port()
    return Program([str(python), str(folder_of("peers") / "litserve_app.py"), str(port)], port=port)


def installed(folder: Path, name: str, *packages: str) -> Path:
    """Make the environment in a folder unless it is there; return its Python.

    ``name`` is what messages call it. Raises ``BenchmarkError`` when it cannot be installed.
    """
    python = python_of(folder)
    if not python.exists():
        _uv(name, "venv", str(folder), "--python", sys.executable)
    _uv(name, "pip", "install", "--python", str(python), *packages)
    return python


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _uv(name: str, *arguments: str) -> None:
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
        raise BenchmarkError(f"{name} cannot be installed: {error.stderr.strip()[-500:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{name} cannot be installed: {error}") from None
