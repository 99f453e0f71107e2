"""How rows are shown: a table for people or for Markdown, one JSON object a line for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .rows import Row, overall

_HEAD = ("row", "value (min .. max)", "unit", "peer", "its value", "ratio (min .. max)", "budget", "")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text in columns."""
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table like those in ``docs/measurements.md``."""
    lines = ["| row | value (lowest … highest) | unit | peer | its value | ratio (lowest … highest) | budget | |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        name, *others, verdict = (cell.replace(" .. ", " … ") for cell in _cells(row))
        shown = [f"`{name.partition('/')[2]}`", *others, {"ok": "kept", "NOT MET": "**not met**"}.get(verdict, "")]
        lines.append(f"| {' | '.join(shown)} |".replace(">=", "≥").replace("<=", "≤"))
    return "\n".join(lines)


def json_lines(name: str, rows: Sequence[Row]) -> list[str]:
    """Return each row as JSON, and last the one for the whole benchmark."""
    shown = [*rows, overall(name, rows)] if rows else []
    return [msgspec.json.encode(row).decode() for row in shown]


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {None: "", True: "ok", False: "NOT MET"}[row.ok]
    return (
        row.name,
        f"{_number(row.value)} ({_number(row.low)} .. {_number(row.high)})",
        row.unit,
        row.peer,
        _number(row.peer_value),
        f"{_number(row.ratio)} ({_number(row.ratio_low)} .. {_number(row.ratio_high)})",
        f"{row.budget} (is {_number(row.difference)})" if (row.budget or "").startswith("diff") else row.budget or "",
        verdict,
    )


def _number(value: float) -> str:
    """Three figures that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
