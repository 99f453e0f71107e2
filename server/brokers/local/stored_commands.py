"""What the rows of the record folder say together: whole commands, and those of which a part cannot be read. No I/O."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import Any

import msgspec

from ...commands.clock import SignOfLife
from ...commands.command import Command, Payload
from ...commands.reply_buffer import Event
from .recovery import is_sound
from .stored_rows import StoredRow

LIFE = "sign of life"
_SET_ASIDE = "damaged:"
"""Begins the names of rows that an earlier version has set aside."""


class StoredCommand(msgspec.Struct):
    """What the disk knows of one long command. ``chunks`` counts its event chunks."""

    command: Command
    payload: Payload
    events: list[Event]
    chunks: int


class DamagedRows(msgspec.Struct):
    """Rows that are of no use: ``what`` they are, ``why`` they cannot be read, and what is ``lost`` with them."""

    what: str
    why: str
    lost: str
    rows: list[StoredRow]


class SortedOut(msgspec.Struct):
    """The commands that are whole, and rows that a kill left of commands that were being forgotten."""

    commands: list[StoredCommand] = []
    without_command: list[StoredRow] = []
    whole: bool = True
    """Whether the name of every row could be read."""
    life: SignOfLife | None = None


class _Parts(msgspec.Struct):
    """The rows of one command."""

    record: StoredRow | None = None
    payload: StoredRow | None = None
    chunks: dict[str, StoredRow] = {}

    @property
    def rows(self) -> list[StoredRow]:
        return [row for row in (self.record, self.payload, *self.chunks.values()) if row is not None]


def sorted_out(rows: list[StoredRow], *, lossy: bool) -> tuple[SortedOut, list[DamagedRows]]:
    """Return what the rows say, and what cannot be read of them. ``lossy``: some rows may have been lost."""
    found = SortedOut()
    parts: defaultdict[str, _Parts] = defaultdict(_Parts)
    found.whole = not lossy and all(row.key for row in rows)
    nameless = [row for row in rows if not row.key]
    for row in rows:
        if row.key == LIFE:
            found.life = _life(row)
        elif row.key and not row.key.startswith(_SET_ASIDE):
            _put(parts, row)
    unknown = "What it was is not known."
    damaged = [DamagedRows(f"Row {row.rowid} of the records", row.why, unknown, [row]) for row in nameless]
    for command_id, part in parts.items():
        if part.record is None and found.whole:
            found.without_command += part.rows
            continue
        try:
            found.commands.append(_whole(command_id, part))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            lost = "The command and its reply are lost."
            damaged.append(DamagedRows(f"Command {command_id}", str(error), lost, part.rows))
    return found, damaged


def _put(parts: dict[str, _Parts], row: StoredRow) -> None:
    kind, _, name = row.key.partition(":")
    command_id, _, number = name.partition(":")
    part = parts[command_id]
    if kind == "command":
        part.record = row
    elif kind == "payload":
        part.payload = row
    else:
        part.chunks[number] = row


def _whole(command_id: str, part: _Parts) -> StoredCommand:
    """Put a command together. Raises ``ValueError`` and its like when something of it is not as it was written."""
    if part.record is None:
        raise ValueError("its record is missing")
    command, last_seq = _command(_value(part.record))
    if command.command_id != command_id:
        raise ValueError(f"its record is of command {command.command_id}")
    events: list[Event] = []
    for number in range(len(part.chunks)):
        if (chunk := part.chunks.get(str(number))) is None:
            raise ValueError("a part of its reply is missing")
        events += msgspec.convert(_value(chunk), list[Event])
    if not all(is_sound(event) for event in events):
        raise ValueError("an event of its reply is not as it was written")
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise ValueError("its reply has a gap")
    if len(events) < last_seq:
        raise ValueError("the end of its reply is missing")
    return StoredCommand(command, _payload(command, part.payload), events, len(part.chunks))


def _payload(command: Command, row: StoredRow | None) -> Payload:
    """Return what the client sent. Of an ended command nobody asks for it any more."""
    if command.ended:
        return Payload()
    if row is None:
        raise ValueError("what its client sent is missing")
    return msgspec.convert(_value(row), Payload)


def _value(row: StoredRow) -> Any:
    if row.why:
        raise ValueError(row.why)
    return row.value


def _command(row: dict[str, Any]) -> tuple[Command, int]:
    """Return a record, and up to which number its events must be there; earlier versions have not noted that."""
    result, last_seq = row.pop("result", None), row.pop("last_seq", 0)
    command = msgspec.convert(row, Command)
    command.result = None if result is None else msgspec.Raw(result.encode())
    return command, int(last_seq)


def _life(row: StoredRow) -> SignOfLife | None:
    with contextlib.suppress(ValueError, TypeError):
        return msgspec.convert(_value(row), SignOfLife)
    return None
