"""The rows of the record folder as they lie on disk: read one by one, so that a damaged one harms no other. Blocks.

A row is read without what would trust its content: no pickle, whatever a damaged row may call itself.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

_COLUMNS = "rowid, key, mode, filename, value"
_IN_ROW, _IN_FILE = 1, 2
"""Where diskcache has put a value."""
_UNREADABLE = (ValueError, zlib.error, RecursionError, OSError, TypeError)


class StoredRow(msgspec.Struct):
    """One row. ``key`` is empty when it cannot be read; ``why`` says why there is no ``value``."""

    rowid: int
    key: str
    content: bytes = b""
    filename: str | None = None
    value: Any = None
    why: str = ""


def read_rows(connection: sqlite3.Connection, folder: Path) -> Iterator[StoredRow]:
    """Return every row. Raises ``sqlite3.DatabaseError`` where the database itself is damaged."""
    for columns in connection.execute(f"SELECT {_COLUMNS} FROM Cache NOT INDEXED ORDER BY rowid"):
        yield _row(folder, *columns)


def rescue_rows(connection: sqlite3.Connection, folder: Path) -> list[StoredRow]:
    """Return what can still be read of a damaged database: from its beginning, and from its end."""
    found: dict[int, StoredRow] = {}
    for order in ("ASC", "DESC"):
        try:
            for columns in connection.execute(f"SELECT {_COLUMNS} FROM Cache NOT INDEXED ORDER BY rowid {order}"):
                found[columns[0]] = _row(folder, *columns)
        except sqlite3.DatabaseError:
            continue
    return [found[rowid] for rowid in sorted(found)]


def _row(folder: Path, rowid: int, key: Any, mode: Any, filename: Any, value: Any) -> StoredRow:
    row = StoredRow(rowid, "", filename=_inside(folder, filename))
    try:
        name = _decoded(key)
        row.key = name if isinstance(name, str) else ""
        if filename is not None and row.filename is None:
            raise ValueError("its file is not one of this folder")
        row.content = _content(folder, mode, row.filename, value)
        row.value = _decoded(row.content)
    except _UNREADABLE as error:
        row.why = str(error) or type(error).__name__
    if not row.key:
        row.why = row.why or "its name is no text"
    return row


def _inside(folder: Path, filename: Any) -> str | None:
    """The file of a row; one that is somewhere else is not the row's, to be read or removed."""
    if not isinstance(filename, str) or "\0" in filename:
        return None
    return filename if folder.resolve() in (folder / filename).resolve().parents else None


def _content(folder: Path, mode: Any, filename: str | None, value: Any) -> bytes:
    if mode == _IN_ROW and isinstance(value, bytes):
        return value
    if mode == _IN_FILE and filename is not None:
        return (folder / filename).read_bytes()
    raise ValueError("it does not say where its content is")


def _decoded(content: Any) -> Any:
    if not isinstance(content, bytes):
        raise ValueError("it is not what this server writes")
    return json.loads(zlib.decompress(content))
