"""What a run of the benchmarks is told on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds``: how long each peer is loaded in a round. ``cache``: for environments and the servers' folders.

    The rest is for ``llama``. ``rows``: which to measure, none for all. ``threads``: 0 for one a processor.
    ``tokens``: the length of a reply. ``prompt_words``: that of the long prompt. ``plot``: where to draw the scaling
    curve. ``llama_server``: a program to be measured instead of xllamacpp.
    """

    rounds: int
    seconds: float
    cache: Path
    say: Callable[[str], None] = print
    rows: Sequence[str] = ()
    threads: int = 0
    tokens: int = 128
    prompt_words: int = 7700
    plot: Path | None = None
    llama_server: Path | None = None


def interleaved(options: Options, peers: Sequence[T]) -> Iterator[T]:
    """Yield every peer once a round; every other round backwards, so that none always comes after the same one."""
    for number in range(options.rounds):
        yield from peers if number % 2 == 0 else reversed(peers)
