"""The budgets: what each measured row has to keep. The one table; the benchmarks themselves judge nothing."""

from __future__ import annotations

import enum

import msgspec


class Measure(str, enum.Enum):
    """What of a row a budget limits."""

    VALUE = "value"
    RATIO = "ratio"
    DIFFERENCE = "difference"


class Budget(msgspec.Struct, frozen=True):
    """A limit for one row, in the row's own unit when it limits the value or the difference to the peer."""

    measure: Measure
    limit: float
    at_least: bool = False

    def holds(self, figure: float) -> bool:
        """Whether this figure keeps the budget."""
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{self.measure.value} {'>=' if self.at_least else '<='} {self.limit:g}"


BUDGETS: dict[str, Budget] = {
    "dispatch/ours/rate-32": Budget(Measure.RATIO, 0.5, at_least=True),
    "dispatch/ours/p50-1": Budget(Measure.RATIO, 4),
    "dispatch/ours/rate-32/litserve": Budget(Measure.RATIO, 5, at_least=True),
    "dispatch/published/rate-32/litserve": Budget(Measure.RATIO, 1.5, at_least=True),
    "relay/delay-p99": Budget(Measure.DIFFERENCE, 5),
    "relay/fan-out-100": Budget(Measure.VALUE, 50_000, at_least=True),
    "relay/fan-out-1000": Budget(Measure.VALUE, 50_000, at_least=True),
    "upload/20-MiB": Budget(Measure.DIFFERENCE, 50),
    "start/ping": Budget(Measure.VALUE, 1),
    "start/idle-memory": Budget(Measure.VALUE, 80),
    "start/idle-cpu": Budget(Measure.VALUE, 1),
    "llama/one-stream/greedy": Budget(Measure.RATIO, 0.95, at_least=True),
    "llama/one-stream/sampled": Budget(Measure.RATIO, 0.95, at_least=True),
    "llama/8-chats/rate": Budget(Measure.RATIO, 1, at_least=True),
    "llama/8-chats/first-p50": Budget(Measure.RATIO, 1),
    "llama/long-prompt/first": Budget(Measure.RATIO, 1.3),
    "llama/long-prompt/longest-gap/chunk": Budget(Measure.RATIO, 1.5),
    "llama/second-turn/prompt-work": Budget(Measure.RATIO, 1),
}
"""Row name → budget. A row that is not here is shown for what it tells, without a verdict."""
