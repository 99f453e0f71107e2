"""Draws the scaling curve. Runs in the tools' environment: ``python draw.py PNG CURVES``, the curves as JSON."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
from pathlib import Path
from typing import Any

COLOURS = ("#1f6feb", "#d1570a", "#6b7280")
MARKS = ("o", "s", "^")


def main(target: Path, curves: dict[str, dict[str, list[float]]]) -> None:
    """``curves``: peer → number of chats → tokens a second of each round; the median is drawn, its range shaded."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5))
    for (name, points), colour, mark in zip(curves.items(), COLOURS, MARKS, strict=False):
        chats = [int(number) for number in points]
        rounds = list(points.values())
        medians = [statistics.median(rates) for rates in rounds]
        axes.plot(chats, medians, marker=mark, color=colour, label=name)
        axes.fill_between(chats, [min(r) for r in rounds], [max(r) for r in rounds], color=colour, alpha=0.15, lw=0)
    ticks = sorted({int(number) for points in curves.values() for number in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("chats at once")
    axes.set_ylabel("tokens a second, all together")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
