"""The figures of a soak: what grows over the hours, and what only goes up and down."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Allowed:
    """How much a figure may grow from the first to the last quarter: by a part of itself, and by so much."""

    share: float
    fixed: float
    unit: str


ALLOWED = {
    "memory of the server": Allowed(0.1, 8, "MB"),
    "memory of the module": Allowed(0.1, 8, "MB"),
    "descriptors of the server": Allowed(0.1, 8, ""),
    "descriptors of the module": Allowed(0.1, 4, ""),
    "disk": Allowed(0.25, 8, "MB"),
    "latency, half below": Allowed(1.0, 5, "ms"),
    "latency, 99 of 100 below": Allowed(1.0, 50, "ms"),
}
"""Latencies are those of a machine that others use too."""


class Figures:
    """Samples of all figures, each with its time in seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._samples: dict[str, list[float]] = {name: [] for name in ALLOWED}

    def add(self, seconds: float, sample: dict[str, float]) -> None:
        """Take one sample of each figure."""
        self._times.append(seconds)
        for name, value in sample.items():
            self._samples[name].append(value)

    def rows(self, warm_up: float) -> list[str]:
        """One line of a Markdown table for each figure: first and last quarter, and what it gains in an hour."""
        return [self._row(name, *self._after(name, warm_up)) for name in ALLOWED]

    def grown(self, warm_up: float) -> list[str]:
        """The figures that have grown more than they may after the warm-up."""
        found = []
        for name, allowed in ALLOWED.items():
            first, last = quarters(self._after(name, warm_up)[1])
            if last - first > allowed.share * first + allowed.fixed:
                found.append(f"{name} has grown from {first:.1f} to {last:.1f} {allowed.unit}".strip())
        return found

    def _after(self, name: str, warm_up: float) -> tuple[list[float], list[float]]:
        begun = next((index for index, time in enumerate(self._times) if time >= warm_up), 0)
        return self._times[begun:], self._samples[name][begun:]

    def _row(self, name: str, times: list[float], values: list[float]) -> str:
        first, last = quarters(values)
        return f"| {name}, {ALLOWED[name].unit or 'open'} | {first:.1f} | {last:.1f} | {slope(times, values):+.2f} |"


def quarters(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the last quarter."""
    size = max(1, len(values) // 4)
    return statistics.median(values[:size]), statistics.median(values[-size:])


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """What a line through the values gains in an hour; 0 where there are too few for one."""
    if len(set(times)) < 2:
        return 0.0
    return statistics.linear_regression(times, values).slope * 3600


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of them is; they must be in order. 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
