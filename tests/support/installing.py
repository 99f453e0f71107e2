"""What the installer's tests share: a layout in a temporary folder, captured progress, copies of the checkout."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from installer.layout import Layout
from installer.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent


def layout_in(folder: Path) -> Layout:
    """A layout whose checkout and data are in ``folder``."""
    return Layout(root=folder, data=folder / "data")


def captured(folder: Path, heartbeat: float = 60.0) -> tuple[Progress, io.StringIO]:
    """Progress whose lines can be read, with its logs in ``folder/logs``."""
    out = io.StringIO()
    return Progress(folder / "logs", out, heartbeat), out


def program(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def python_of(layout: Layout) -> Path:
    """Give a layout an "environment" whose Python is the one that runs the tests."""
    return program(layout.python, f'exec "{sys.executable}" "$@"')


def tools_in(folder: Path, *names: str) -> Path:
    """A folder for PATH with nothing but these programs of this machine; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        assert found, f"this test needs {name}"
        (folder / name).symlink_to(found)
    return folder


def copy_checkout(target: Path) -> Path:
    """Copy what a clone of the working tree would hold (tracked files, and new ones that are not ignored)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fails the test when it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes that run a program in ``folder``, work in it or name it as an argument."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            line = " ".join(process.cmdline())
            if str(folder) in line or process.cwd().startswith(str(folder)):
                found.append(f"{process.pid}: {line}")
    return found
