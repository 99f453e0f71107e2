"""Which Python a module runs on. Everything here blocks: interpreters are tried by running them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys

import msgspec

from ..process.command_output import output_of

OLDEST = (3, 10)
"""Our SDK needs at least this; a module with the published SDK may use an older one."""
_NEWEST_MINOR = 15
_WANTED = re.compile(r"^python(?:3\.?(\d+))?$")
_ASK = "import sys; print('%d.%d' % sys.version_info[:2])"


class Interpreter(msgspec.Struct, frozen=True):
    """A Python that runs. ``note`` says why it is not the one that was asked for; empty when it is."""

    path: str
    version: tuple[int, int]
    note: str = ""

    @property
    def label(self) -> str:
        """Like ``3.11``."""
        return f"{self.version[0]}.{self.version[1]}"


class NoInterpreterError(Exception):
    """There is no Python for the module; the text says which one and what to do."""


def wanted_version(runtime: str) -> tuple[int, int] | None:
    """Return the version in a ``Runtime`` such as ``python3.11`` or ``python39``; ``None`` for plain ``python``.

    Raises ``NoInterpreterError`` for a runtime that is not Python.
    """
    match = _WANTED.match(runtime.strip().lower())
    if match is None:
        raise NoInterpreterError(f"The runtime '{runtime}' is not known. Write it like python3.11.")
    return (3, int(match[1])) if match[1] else None


def find_interpreter(runtime: str, oldest: tuple[int, int] = OLDEST) -> Interpreter:
    """Find the interpreter to make an environment from: the named version, else the nearest not too old.

    Plain ``python`` is the version the server runs on. Raises ``NoInterpreterError``.
    """
    own = Interpreter(_own_base(), (sys.version_info.major, sys.version_info.minor))
    wanted = wanted_version(runtime)
    if wanted is None or wanted == own.version:
        return own
    named = _on_path(wanted)
    if named is not None and wanted >= oldest:
        return Interpreter(named, wanted)
    why = "was not found" if named is None else f"is older than {oldest[0]}.{oldest[1]}, which the module SDK needs"
    nearest = _nearest(wanted, own, oldest)
    note = f"Python {wanted[0]}.{wanted[1]} {why}; Python {nearest.label} is used instead."
    return Interpreter(nearest.path, nearest.version, note)


def system_interpreter(runtime: str) -> Interpreter:
    """Find the interpreter of a module that has no environment of its own (``RuntimeLocation`` ``System``).

    Plain ``python`` is the server's own interpreter with the server's own packages, ``python3.X`` the command of that
    name on PATH. Raises ``NoInterpreterError``.
    """
    wanted = wanted_version(runtime)
    own_version = (sys.version_info.major, sys.version_info.minor)
    if wanted is None:
        return Interpreter(sys.executable, own_version)
    path = _on_path(wanted)
    if path is None:
        raise NoInterpreterError(
            f"python{wanted[0]}.{wanted[1]} was not found on PATH. Install it, or set LaunchSettings.RuntimeLocation "
            "to Local so that the server makes an environment."
        )
    return Interpreter(path, wanted)


def _own_base() -> str:
    """The interpreter under the server's virtual environment."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return base


@functools.cache
def _on_path(version: tuple[int, int]) -> str | None:
    """The path of ``python3.X``, if it is there and really runs that version (a version manager's stub may not)."""
    path = shutil.which(f"python{version[0]}.{version[1]}")
    if path is None and os.name == "nt":
        return _from_windows_launcher(version)
    return path if path is not None and _runs(path, version) else None


def _runs(path: str, version: tuple[int, int]) -> bool:
    answer = output_of([path, "-c", _ASK])
    return answer == f"{version[0]}.{version[1]}"


def _from_windows_launcher(version: tuple[int, int]) -> str | None:
    launcher = shutil.which("py")
    if launcher is None:
        return None
    return output_of([launcher, f"-{version[0]}.{version[1]}", "-c", "import sys; print(sys.executable)"]) or None


def _nearest(wanted: tuple[int, int], own: Interpreter, oldest: tuple[int, int]) -> Interpreter:
    """The nearest version; of two equally near the newer one. The server's own is always there."""
    minors = [minor for minor in range(oldest[1], _NEWEST_MINOR + 1) if (3, minor) != wanted]
    for minor in sorted(minors, key=lambda minor: (abs(minor - wanted[1]), -minor)):
        if (3, minor) == own.version:
            return own
        path = _on_path((3, minor))
        if path is not None:
            return Interpreter(path, (3, minor))
    return own
