"""From the model's raw logits to log-probabilities, before any sampling parameter changes them."""

from __future__ import annotations

import numpy as np

from .context import Logits
from .log_probabilities import Candidate, LogProbability
from .model import Model

IMPOSSIBLE = -9999.0
"""Stands for minus infinity, which JSON cannot say."""


def log_probability(model: Model, row: Logits, token: int, count: int, at: int) -> LogProbability:
    """Return what is told of a chosen token, and of the ``count`` likeliest at its place.

    ``row``: the logits of the whole vocabulary. ``at`` as in ``LogProbability``.
    """
    highest = row.max()
    total = float(highest) + float(np.log(np.exp(row - highest).sum(dtype=np.float64)))

    def candidate(number: int) -> Candidate:
        value = max(float(row[number]) - total, IMPOSSIBLE)
        return Candidate(model.label(number), model.piece(number), value)

    count = min(count, len(row))
    likeliest = np.argpartition(row, -count)[-count:] if count else np.empty(0, np.intp)
    ranked = sorted(map(int, likeliest), key=lambda number: -float(row[number]))
    return LogProbability(candidate(token), tuple(map(candidate, ranked)), at)
