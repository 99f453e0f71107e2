"""The server's virtual environment, made once and left alone until something it depends on changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from . import lock, uv
from .layout import Layout
from .progress import Progress, Step, StepFailedError

STAMP = "millrace-install.json"
"""Name of the file in the environment that says what was installed into it."""


def fingerprint(layout: Layout) -> str:
    """Hash of what decides the environment's contents: pyproject.toml, the lock, the checkout's place, its Python.

    The place matters because the repository is installed in place. Raises OSError when there is no pyproject.toml.
    """
    digest = hashlib.sha256((layout.root / "pyproject.toml").read_bytes())
    digest.update(_lock_of(layout).encode())
    digest.update(os.fsencode(layout.root))
    digest.update(_python_version(layout).encode())
    return digest.hexdigest()


def _python_version(layout: Layout) -> str:
    """Version noted by the environment itself, so that whichever Python runs the installer does not matter."""
    try:
        lines = (layout.environment / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return "none"
    pairs = (line.partition("=") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip().startswith("version")), "unknown")


def is_complete(layout: Layout, extras: Iterable[str] = ()) -> bool:
    """Whether the environment already holds the server and at least these extras."""
    if not layout.python.exists():
        return False
    try:
        stamp = json.loads((layout.environment / STAMP).read_text("utf-8"))
        return bool(stamp["fingerprint"] == fingerprint(layout)) and set(extras) <= set(stamp["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def ensure(layout: Layout, progress: Progress, interpreter: Path, extras: Iterable[str] = ()) -> bool:
    """Make or complete the environment; returns whether there was anything to do. Raises StepFailedError."""
    wanted = sorted(set(extras))
    if is_complete(layout, wanted):
        return False
    stamp = layout.environment / STAMP
    stamp.unlink(missing_ok=True)
    if not _works(layout):
        progress.run(_make(layout, interpreter))
    program = uv.find(layout)
    if program is None:
        _run_locked(progress, _get_locked_uv(layout), _get_uv(layout))
        program = layout.tool("uv")
    locked = _run_locked(progress, _install_locked(layout, program), None)
    progress.run(_install(layout, program, wanted, with_dependencies=bool(wanted) or not locked))
    write_paths_in_ascii(layout)
    told = {"fingerprint": fingerprint(layout), "extras": wanted, "locked": locked}
    stamp.write_text(json.dumps(told) + "\n", "utf-8")
    return True


def _run_locked(progress: Progress, locked: Step | None, otherwise: Step | None) -> bool:
    """Install what the lock says; where that cannot be had, say so and do the other step.

    Returns whether it is what the lock says. Raises StepFailedError, always when a file is not the one that was locked.
    """
    if locked is not None:
        code, log = progress.attempt(locked)
        if code == 0:
            return True
        if lock.was_tampered(log.read_text("utf-8", "replace")):
            raise StepFailedError(f"{_TAMPERED}\n\nThe whole log: {log}")
        progress.say(f"    The locked versions cannot be installed here, others that fit are tried; why: {log}")
    if otherwise is not None:
        progress.run(otherwise)
    return False


def write_paths_in_ascii(layout: Layout) -> None:
    """Python reads the files that name the checkout in the locale's letters, and dies of others at its start."""
    for pattern in ("lib/python*/site-packages/*.pth", "Lib/site-packages/*.pth"):
        for path in layout.environment.glob(pattern):
            content = path.read_bytes()
            if not content.isascii():
                folders = content.decode("utf-8", "surrogateescape").splitlines()
                path.write_text(f"import sys; sys.path += {folders!a}\n", "ascii")


def _works(layout: Layout) -> bool:
    """Whether there is an environment whose Python starts and has pip (a half-made one has not)."""
    if not layout.python.exists():
        return False
    check = [str(layout.python), "-c", "import pip"]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


def _make(layout: Layout, interpreter: Path) -> Step:
    return Step(
        title="Making the server's environment (.venv)",
        name="venv",
        command=[interpreter, "-m", "venv", "--clear", layout.environment],
        cwd=layout.root,
        normal="5 to 20 seconds",
        advice="Check that this Python can make virtual environments: python3 -m venv /tmp/try",
    )


_NETWORK = "Check the network and, where one is used, the proxy or package index, then run the same command again."
_AGAIN = "The reason is in the log. Run the same command again once it is mended."


_TAMPERED = (
    "Failed: the package index served a file that is not the one that was locked (requirements.lock). Nothing of it "
    "was installed. Ask whoever runs the index, or use another one; if it is a mirror that builds packages itself, "
    "delete requirements.lock to take what it has."
)


def _lock_of(layout: Layout) -> str:
    """The text of the lock; empty when there is none."""
    try:
        return lock.path_in(layout).read_text("utf-8")
    except OSError:
        return ""


def _get_locked_uv(layout: Layout) -> Step | None:
    text = lock.lines_of(_lock_of(layout), "uv")
    if not text:
        return None
    alone = layout.environment / "uv.lock.txt"
    alone.write_text(text, "utf-8")
    return Step(
        title="Getting uv, which installs packages quickly, as it is locked",
        name="uv-locked",
        command=[layout.python, "-m", "pip", "install", "--require-hashes", "-r", alone],
        cwd=layout.root,
        normal="5 to 30 seconds",
    )


def _get_uv(layout: Layout) -> Step:
    return Step(
        title="Getting uv, which installs packages quickly",
        name="uv",
        command=[layout.python, "-m", "pip", "install", uv.REQUIREMENT],
        cwd=layout.root,
        normal="5 to 30 seconds",
        advice=_NETWORK,
        source="installer/uv.py",
    )


def _install_locked(layout: Layout, program: Path) -> Step | None:
    """What fills the environment with the locked versions; only files with the locked hashes are taken."""
    if not _lock_of(layout):
        return None
    return Step(
        title="Installing what the server needs",
        name="locked",
        command=[program, "pip", "install", "--python", layout.python, "--require-hashes", "-r", lock.path_in(layout)],
        cwd=layout.root,
        normal="5 seconds to a minute",
    )


def _install(layout: Layout, program: Path, extras: list[str], with_dependencies: bool) -> Step:
    """What installs the server in place. Dependencies that are there already and fit stay as they are."""
    target = f".[{','.join(extras)}]" if extras else "."
    tests = " and what its tests need" if extras else ""
    alone = [] if with_dependencies else ["--no-deps"]
    return Step(
        title=f"Installing the server{tests}",
        name="server",
        command=[program, "pip", "install", "--python", layout.python, *alone, "--editable", target],
        cwd=layout.root,
        normal="10 seconds to 2 minutes",
        advice=_AGAIN,
        source="pyproject.toml",
    )
