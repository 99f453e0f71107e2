"""The arithmetic of measurements: medians, percentiles, and ratios of what was measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise the rounds. Raises ``ValueError`` when there is none."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the *sorted* values lie, by nearest rank.

    Raises ``ValueError`` when there is none.
    """
    if not values:
        raise ValueError("nothing was measured")
    return values[min(len(values) - 1, int(share * len(values)))]


def paired_ratios(values: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Return each round's value over the peer's value of the same round. Raises ``ValueError`` if they are no pairs."""
    if len(values) != len(peers):
        raise ValueError(f"{len(values)} rounds cannot be paired with {len(peers)}")
    return [value / peer for value, peer in zip(values, peers, strict=True)]


def paired_differences(values: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Return how much each round's value is above the peer's of the same round. Raises ``ValueError`` as above."""
    if len(values) != len(peers):
        raise ValueError(f"{len(values)} rounds cannot be paired with {len(peers)}")
    return [value - peer for value, peer in zip(values, peers, strict=True)]
