"""What is done to a data folder between a kill and the next start: one random byte of one row or file is changed."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def damage(records: Path, dice: random.Random) -> str:
    """Change a byte of a row's content, of a large row's file or of a journal; return which, '' for none."""
    journals = [path for path in sorted(records.glob("*.journal")) if path.stat().st_size]
    files = sorted(records.glob("??/*/*.val"))
    sort = dice.choice(["row", "row", "journal", "file"])
    if sort == "journal" and journals:
        _change(dice.choice(journals), dice)
    elif sort == "file" and files:
        _change(dice.choice(files), dice)
    elif not _change_row(records / "cache.db", dice):
        return ""
    return sort


def named_in(output: list[str]) -> set[str]:
    """Return the ids of the commands of which a server has said that something is lost."""
    return {found for line in output if " E Server: " in line for found in _ID.findall(line)}


@contextlib.contextmanager
def slow_disk(records: Path) -> Iterator[None]:
    """While this lasts the server's writes wait, as on a disk that does not answer."""
    database = sqlite3.connect(records / "cache.db", isolation_level=None, timeout=30)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


def _change(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def _change_row(path: Path, dice: random.Random) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database, database:
        rows = database.execute("SELECT rowid FROM Cache WHERE typeof(value) = 'blob' ORDER BY rowid").fetchall()
        if not rows:
            return False
        (rowid,) = dice.choice(rows)
        ((value,),) = database.execute("SELECT value FROM Cache WHERE rowid = ?", (rowid,)).fetchall()
        content = bytearray(value)
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (bytes(content), rowid))
    return True


def pause(dice: random.Random, longest: float) -> None:
    """Wait for up to ``longest`` seconds."""
    time.sleep(dice.uniform(0, longest))
