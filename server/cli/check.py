"""``python -m server check``: says what is in a data folder, and whether all of it can be read. It changes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ..brokers.local.inspection import Findings, inspect
from ..config import ServerSettings
from ..data_folder import damaged_notes, held, occupied_by_another
from ..hosting.route_claims import RouteClaims
from ..set_aside import MARK
from .subcommand import Subparsers, add_subcommand

_MIB = 1024 * 1024


def add_to(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    add_subcommand(subparsers, "check", "Say what is in the data folder, and whether all of it can be read.", run)


def run(settings: ServerSettings, options: argparse.Namespace) -> int:
    """Look, and return 0 when all is well, 1 when something cannot be read or there is no such folder."""
    folder = settings.data_dir
    if not folder.is_dir():
        print(f"error: There is no data folder {folder}.", file=sys.stderr)
        return 1
    if running := occupied_by_another(folder):
        print(running.partition(", and ")[0] + ". It is changing while it is looked at; stop it for a full check.")
        return _report(folder, while_running=True)
    with held(folder):
        return _report(folder, while_running=False)


def _report(folder: Path, *, while_running: bool) -> int:
    findings = inspect(folder / "records")
    print(f"Data folder {folder}")
    for line in _contents(folder, findings):
        print(f"  {line}")
    if while_running:
        return 0
    damaged = findings.damaged + damaged_notes(folder) + _claims(folder)
    for text in damaged:
        print(f"damaged: {text}")
    if damaged:
        print("The next start sets this aside and keeps everything else.")
    return 1 if damaged else 0


def _contents(folder: Path, findings: Findings) -> Iterator[str]:
    states = ", ".join(f"{count} {state}" for state, count in sorted(findings.states.items()))
    yield f"commands: {findings.states.total()}{f' ({states})' if states else ''}"
    if findings.leftovers:
        yield f"rows that a killed server left and the next start removes: {findings.leftovers}"
    uploads = _files(folder / "uploads")
    without = [path for path in uploads if str(path) not in findings.uploads]
    yield f"uploads: {len(uploads)}{f', {len(without)} of them of no command' if without else ''}"
    for name in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        files = _files(folder / name)
        yield f"{name}: {len(files)} files, {sum(path.lstat().st_size for path in files) / _MIB:.1f} MiB"
    aside = [path for path in folder.rglob(f"*{MARK}-*") if not path.is_dir()] + _files(folder / "records" / "damaged")
    if aside:
        yield f"set aside by earlier starts: {len(aside)} files"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def _claims(folder: Path) -> list[str]:
    why = RouteClaims(folder).unreadable()
    return [why] if why else []
