"""A look at the record folder that changes nothing in it. Everything here blocks."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from pathlib import Path

import msgspec

from .journal import ids_in, read_lines
from .stored_commands import sorted_out
from .stored_rows import read_rows, rescue_rows

DATABASE = "cache.db"


class Findings(msgspec.Struct):
    """What is in a record folder. ``states``: commands by state; ``damaged``: what cannot be read, in words.

    ``leftovers``: rows that a kill left, which the next start removes; ``uploads``: paths that commands still need.
    """

    states: Counter[str] = msgspec.field(default_factory=Counter)
    damaged: list[str] = []
    leftovers: int = 0
    uploads: set[str] = set()


def inspect(folder: Path) -> Findings:
    """Return what is in the folder. While a server works in it, what it writes may look damaged for a moment."""
    findings = Findings()
    if (folder / DATABASE).is_file():
        _inspect_database(folder, findings)
    elif (folder / DATABASE).exists():
        findings.damaged.append(f"{folder / DATABASE} is not a file.")
    for path in sorted(folder.glob("*.journal")):
        _inspect_journal(path, findings)
    return findings


def _inspect_database(folder: Path, findings: Findings) -> None:
    database = folder / DATABASE
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        lossy = False
        try:
            ((verdict,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            rows = list(read_rows(connection, folder))
        except sqlite3.DatabaseError as error:
            rows, lossy = rescue_rows(connection, folder), True
            findings.damaged.append(f"{database} is damaged: {error}.")
    found, damaged = sorted_out(rows, lossy=lossy)
    findings.states.update(stored.command.state.value for stored in found.commands)
    findings.uploads = {file.path for stored in found.commands for file in stored.payload.files if file.path}
    findings.leftovers = len(found.without_command)
    findings.damaged += [f"{one.what} cannot be read: {one.why}. {one.lost}" for one in damaged]


def _inspect_journal(path: Path, findings: Findings) -> None:
    try:
        unreadable = read_lines(path.read_bytes())[1]
    except OSError as error:
        findings.damaged.append(f"{path} cannot be read: {error.strerror}.")
        return
    if unreadable:
        about = ", ".join(ids_in(unreadable)) or "(unknown)"
        findings.damaged.append(f"{len(unreadable)} lines of {path} cannot be read, about command {about}.")
