"""``--test``: the checks and tests, each run even when one before it failed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import chromium
from .layout import Layout
from .logs import last_lines
from .progress import Progress, Step

EXTRAS = ("test",)
"""What the server's environment needs for the tests, as pyproject.toml names it."""
TYPED = ("server", "sdk", "installer", "modules", "tests", "training", "benchmarks")
"""Folders that mypy checks."""
_AT_ONCE = ("-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile", "--no-loadscope-reorder")
"""Most tests wait for processes: as many files at a time as there are cores, the longest folders first."""


def run(layout: Layout, progress: Progress, pytest_args: Sequence[str]) -> int:
    """Run ruff, mypy and pytest; returns 0 when all of them are content, else 1. Raises InstallError."""
    browser = chromium.ensure(layout, progress)
    steps = _steps(layout, browser, pytest_args)
    outcomes = [(step, *progress.attempt(step)) for step in steps]
    progress.say()
    for step, code, log in outcomes:
        progress.say(f"{step.name:<7} {'ok' if code == 0 else 'FAILED'}   {log}")
    # Last of all, so that nobody has to scroll for it: how the tests ended.
    progress.say(last_lines(outcomes[-1][2], 1).strip())
    return int(any(code for _, code, _ in outcomes))


def _steps(layout: Layout, browser: Path, pytest_args: Sequence[str]) -> list[Step]:
    typed = [folder for folder in TYPED if (layout.root / folder).is_dir()]

    def step(title: str, name: str, normal: str, *arguments: str, quiet_for: float | None = None) -> Step:
        command: list[str | Path] = [layout.python, "-m", name, *arguments]
        env = {chromium.VARIABLE: str(browser)}
        return Step(title, name, command, layout.root, normal=normal, show=True, quiet_for=quiet_for, env=env)

    return [
        step("Checking the code's style (ruff)", "ruff", "a second", "check"),
        step("Checking the types (mypy)", "mypy", "a second to a minute", *typed),
        step("Running the tests (pytest)", "pytest", "20 to 40 minutes", *_AT_ONCE, *pytest_args, quiet_for=60),
    ]
