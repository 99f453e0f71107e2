"""The bytes in which llama.cpp copies a sequence out of a context: cutting tokens out of them, and joining pieces.

llama.cpp copies only whole sequences. What it writes is a preface, a list of cells, one for each token, then for each
layer a table with a row for each cell: first all keys, then all values (the values of some contexts with a column for
each cell). The layout is that of ``llama_kv_cache::state_write`` in llama.cpp; bytes that do not fit it are refused.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

State = np.ndarray[Any, Any]
"""Bytes, as llama.cpp writes and reads them."""

_CELL = np.dtype([("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")])
_PREFACE = struct.Struct("<Ii")
_COUNT = struct.Struct("<I")
_LAYERS = struct.Struct("<II")
_ROWS = struct.Struct("<iQ")
_COLUMNS = struct.Struct("<iII")


@dataclass(frozen=True)
class _Table:
    """The keys or the values of one layer: ``head`` says their type and size, ``cells`` has a row for each token."""

    head: bytes
    cells: State
    transposed: bool


@dataclass(frozen=True)
class _Parsed:
    magic: int
    positions: State
    layers: bytes
    tables: list[_Table]


def cut(state: State, start: int, end: int) -> State | None:
    """Return the state of the tokens from ``start`` to ``end`` alone; None when it does not hold them or is not known.

    ``state`` is one sequence, or a part of one.
    """
    parsed = _parse(state)
    if parsed is None:
        return None
    order = np.argsort(parsed.positions, kind="stable")
    first = int(np.searchsorted(parsed.positions[order], start))
    chosen = order[first : first + end - start]
    if not np.array_equal(parsed.positions[chosen], np.arange(start, end)):
        return None
    tables = [_Table(table.head, table.cells[_span(chosen)], table.transposed) for table in parsed.tables]
    return _written(_Parsed(parsed.magic, parsed.positions[chosen], parsed.layers, tables), streams=1)


def joined(pieces: Sequence[State], streams: int) -> State | None:
    """Return the state of pieces that follow each other, for a context with so many streams; None when they do not fit.

    The first piece must begin with the first token.
    """
    parsed = [_parse(piece) for piece in pieces]
    known = [piece for piece in parsed if piece is not None]
    if not known or len(known) < len(parsed):
        return None
    shapes = {(piece.magic, piece.layers, tuple(table.head for table in piece.tables)) for piece in known}
    positions = np.concatenate([piece.positions for piece in known])
    if len(shapes) > 1 or not np.array_equal(positions, np.arange(len(positions))):
        return None
    tables = [
        _Table(tables[0].head, np.concatenate([table.cells for table in tables]), tables[0].transposed)
        for tables in zip(*(piece.tables for piece in known), strict=True)
    ]
    return _written(_Parsed(known[0].magic, positions, known[0].layers, tables), streams)


def repeated(state: State, count: int, streams: int) -> State | None:
    """Return a state with ``count`` tokens that are all the first of this one; None when it is not known.

    It means nothing: it is there to find out how fast llama.cpp is after so many tokens.
    """
    parsed = _parse(state)
    if parsed is None:
        return None
    rows = [np.repeat(table.cells[:1], count, axis=0) for table in parsed.tables]
    tables = [_Table(table.head, cells, table.transposed) for table, cells in zip(parsed.tables, rows, strict=True)]
    return _written(_Parsed(parsed.magic, np.arange(count), parsed.layers, tables), streams)


def _parse(state: State) -> _Parsed | None:
    for has_values in (True, False):  # some models make the values of the keys
        with contextlib.suppress(struct.error, ValueError):
            return _Reader(state, has_values).sequence()
    return None


class _Reader:
    """Reads the layout from the front. Raises ``ValueError`` or ``struct.error`` where the bytes do not fit it."""

    def __init__(self, state: State, has_values: bool) -> None:
        self._state = state
        self._has_values = has_values
        self._at = 0

    def sequence(self) -> _Parsed:
        """Read one sequence, which must be all there is. It lies in one of the context's streams."""
        magic, _ = _PREFACE.unpack(self._take(_PREFACE.size).tobytes())
        (streams,) = _COUNT.unpack(self._take(_COUNT.size).tobytes())
        parsed = None
        for _ in range(streams):
            (count,) = _COUNT.unpack(self._take(_COUNT.size).tobytes())
            if count and parsed is not None:
                raise ValueError("a sequence in two streams")
            if count:
                parsed = self._stream(magic, count)
        if parsed is None or self._at != len(self._state):
            raise ValueError("no sequence, or more than one")
        return parsed

    def _stream(self, magic: int, count: int) -> _Parsed:
        cells = self._take(count * _CELL.itemsize).view(_CELL)
        if np.any(cells["sequences"] != 1):
            raise ValueError("cells of an unknown form")
        layers = self._take(_LAYERS.size).tobytes()
        transposed, number = _LAYERS.unpack(layers)
        keys = [self._rows(count) for _ in range(number)]
        value_tables = number if self._has_values else 0
        values = [self._columns(count) if transposed else self._rows(count) for _ in range(value_tables)]
        return _Parsed(magic, cells["position"], layers, [*keys, *values])

    def _rows(self, count: int) -> _Table:
        head = self._take(_ROWS.size).tobytes()
        width = _ROWS.unpack(head)[1]
        return _Table(head, self._take(count * width).reshape(count, width), transposed=False)

    def _columns(self, count: int) -> _Table:
        head = self._take(_COLUMNS.size).tobytes()
        _, width, number = _COLUMNS.unpack(head)
        columns = self._take(count * width * number).reshape(number, count, width)
        return _Table(head, columns.transpose(1, 0, 2), transposed=True)

    def _take(self, size: int) -> State:
        taken = self._state[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("bytes are missing")
        self._at += size
        return taken


def _span(chosen: State) -> Any:
    """Return the chosen rows as a slice where they lie side by side, because that copies much faster."""
    first, last = int(chosen[0]), int(chosen[-1])
    in_order = last - first == len(chosen) - 1 and bool(np.all(np.diff(chosen) == 1))
    return slice(first, last + 1) if in_order else chosen


def _written(parsed: _Parsed, streams: int) -> State:
    count = len(parsed.positions)
    cells = np.zeros(count, _CELL)
    cells["position"], cells["sequences"] = parsed.positions, 1
    head = _PREFACE.pack(parsed.magic, 0) + _COUNT.pack(streams) + _COUNT.pack(count) + cells.tobytes() + parsed.layers
    parts = [np.frombuffer(head, np.uint8)]
    for table in parsed.tables:
        rows = table.cells.transpose(1, 0, 2) if table.transposed else table.cells
        parts += [np.frombuffer(table.head, np.uint8), rows.reshape(-1)]
    # The other streams of the context hold nothing of this sequence.
    parts.append(np.zeros((streams - 1) * _COUNT.size, np.uint8))
    return np.concatenate(parts)
