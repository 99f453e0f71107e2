"""``llama``: chats through LlamaChat beside llama.cpp's own server, its engine beside a bare loop over llama_decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..options import Options
from ..processes import BenchmarkError
from ..rows import Row
from . import long_prompt, many_chats, one_at_a_time, one_stream, scaling, second_turn
from .setting import Setting

ROWS: dict[str, Callable[[Setting], list[Row]]] = {
    "one-stream": one_stream.measure,
    "8-chats": lambda setting: many_chats.measure(setting, 8),
    "8-chats-sampled": lambda setting: many_chats.measure_sampled(setting, 8),
    "16-chats": lambda setting: many_chats.measure(setting, 16),
    "one-at-a-time": one_at_a_time.measure,
    "second-turn": second_turn.measure,
    "long-prompt": long_prompt.measure,
    "scaling": scaling.measure,
}
ONLY_WHEN_NAMED = ("scaling",)
"""Takes as long as all others together, and is there for the curve."""


def measure(options: Options) -> list[Row]:
    """Measure what was asked for. Raises ``BenchmarkError`` when something cannot be measured."""
    setting = Setting(options)
    return [row for name in chosen(options) for row in ROWS[name](setting)]


def chosen(options: Options) -> Sequence[str]:
    """Return the rows to measure: those named, else all but the long one, which a place for its curve asks for too.

    Raises ``BenchmarkError`` when there is no such row.
    """
    if unknown := [name for name in options.rows if name not in ROWS]:
        raise BenchmarkError(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    names = list(options.rows) or [name for name in ROWS if name not in ONLY_WHEN_NAMED]
    return names if options.plot is None or "scaling" in names else [*names, "scaling"]
