"""What the machine must have before anything can be installed, and how to get it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import apt, wheels
from .layout import WINDOWS, Layout
from .progress import InstallError, Progress, StepFailedError


@dataclass(frozen=True)
class Need:
    """Something the machine must have. ``present`` finds out; the rest tells what to install for it."""

    what: str
    why: str
    present: Callable[[], bool]
    packages: tuple[str, ...]
    elsewhere: str = ""


def has_venv() -> bool:
    """Whether this Python can make virtual environments with pip in them (Debian packages that apart)."""
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _any_of(*programs: str | None) -> bool:
    return any(program and shutil.which(program) for program in programs)


def has_compiler() -> bool:
    """Whether C and C++ can be compiled. On Windows the build itself finds out, so the answer is yes."""
    if WINDOWS:
        return True
    # CC may carry flags; the program is its first word.
    c, cpp = ((os.environ.get(name) or " ").split(" ")[0] for name in ("CC", "CXX"))
    return (
        _any_of(c, "cc", "gcc", "clang") and _any_of(cpp, "c++", "g++", "clang++") and _any_of("make", "ninja", "gmake")
    )


def has_git() -> bool:
    """Whether git can be called."""
    return _any_of("git")


VENV = Need(
    "Python's venv and ensurepip",
    "Millrace installs into virtual environments",
    has_venv,
    (f"python{sys.version_info.major}.{sys.version_info.minor}-venv",),
    "install a Python from python.org or your system that comes with them",
)
COMPILER = Need(
    "a C and C++ compiler with make",
    "llama-cpp-python, which LlamaChat runs models with, is built on this machine",
    has_compiler,
    ("build-essential",),
    "macOS: xcode-select --install; Fedora: sudo dnf install gcc gcc-c++ make",
)
GIT = Need("git", "the tests use it", has_git, ("git",), "see git-scm.com")


def llama_is_built(layout: Layout) -> bool:
    """Whether LlamaChat's environment already carries llama-cpp-python, so that no compiler is needed."""
    environment = layout.module_environment("LlamaChat")
    folders = ("lib/python*/site-packages", "Lib/site-packages")
    return any(any(environment.glob(f"{folder}/llama_cpp/__init__.py")) for folder in folders)


def needs_of(layout: Layout, testing: bool) -> list[Need]:
    """Everything this checkout still needs from the machine, present or not."""
    needs = [VENV]
    if not llama_is_built(layout):
        needs.append(COMPILER)
    return [*needs, GIT] if testing else needs


def install_command(need: Need) -> str:
    """What to type for one need, on Debian and elsewhere, in one line."""
    return f"{apt.command_for(need.packages)} ({need.elsewhere})"


def describe(missing: Sequence[Need]) -> str:
    """A list of what is missing with the commands that install it."""
    width = max(len(need.what) for need in missing)
    lines = [f"  {need.what:<{width}}  ({need.why})" for need in missing]
    packages = [package for need in missing for package in need.packages]
    lines += ["", "On Debian or Ubuntu, type:", "", f"  {apt.command_for(packages)}", "", "Elsewhere:", ""]
    lines += [f"  {need.what}: {need.elsewhere}" for need in missing]
    return "\n".join(lines)


def ensure(layout: Layout, progress: Progress, *, testing: bool = False) -> None:
    """Make sure the machine has what is needed: install it where allowed, else say what to type.

    Raises InstallError when something stays missing. A missing compiler is only told: the server runs without it.
    """
    needs = needs_of(layout, testing)
    missing = [need for need in needs if not need.present()]
    if missing and apt.usable():
        missing = _install(missing, progress, layout)
    if COMPILER in missing:
        missing.remove(COMPILER)
        _tell_no_compiler(layout, progress)
    if missing:
        raise InstallError(f"This machine lacks what Millrace needs:\n\n{describe(missing)}")


def _install(missing: list[Need], progress: Progress, layout: Layout) -> list[Need]:
    """Install what is missing; returns what still is. That apt failed matters only then."""
    try:
        apt.install([package for need in missing for package in need.packages], progress, layout.root)
    except StepFailedError as failure:
        progress.say(f"\nWarning: {failure}\n")
    return [need for need in missing if not need.present()]


def _tell_no_compiler(layout: Layout, progress: Progress) -> None:
    if wheels.reachable(wheels.indexes_named_in(_requirements(layout))):
        progress.say("    No C++ compiler here; that is fine as long as a prebuilt llama-cpp-python fits.")
    else:
        progress.say(f"\nWarning: LlamaChat will not work without a compiler:\n\n{describe([COMPILER])}\n")


def _requirements(layout: Layout) -> list[Path]:
    return sorted((layout.root / "modules" / "LlamaChat").glob("requirements*.txt"))
