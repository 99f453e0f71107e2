"""A row: one figure of Millrace beside the same figure of a peer, from the rounds in which both were measured."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .budgets import BUDGETS, Measure
from .figures import Spread, paired_differences, paired_ratios


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """``value`` and ``peer_value`` are medians, ``ratio`` and ``difference`` those of the pairs. ``ok``: no budget."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int
    peer: str
    peer_value: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    budget: str | None = None
    ok: bool | None = None

    def figure(self, measure: Measure) -> float:
        """Return what a budget may limit."""
        return {Measure.VALUE: self.value, Measure.RATIO: self.ratio, Measure.DIFFERENCE: self.difference}[measure]


def make_row(name: str, unit: str, values: Sequence[float], peer: str, peers: Sequence[float]) -> Row:
    """Compare the rounds of both sides, and judge the row if it has a budget. Raises ``ValueError`` without rounds."""
    value, ratio = Spread.of(values), Spread.of(paired_ratios(values, peers))
    row = Row(
        name=name,
        value=value.median,
        unit=unit,
        low=value.low,
        high=value.high,
        rounds=len(values),
        peer=peer,
        peer_value=Spread.of(peers).median,
        ratio=ratio.median,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        difference=Spread.of(paired_differences(values, peers)).median,
    )
    budget = BUDGETS.get(name)
    if budget is None:
        return row
    return msgspec.structs.replace(row, budget=str(budget), ok=budget.holds(row.figure(budget.measure)))


def overall(name: str, rows: Sequence[Row]) -> Row:
    """Return the row that stands for a whole benchmark: its first one, kept only if every budget is."""
    return msgspec.structs.replace(rows[0], name=name, ok=all(row.ok is not False for row in rows))
