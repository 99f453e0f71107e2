"""What a run of the benchmarks is told on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds``: how long each peer is loaded in a round. ``cache``: for environments and the servers' folders."""

    rounds: int
    seconds: float
    cache: Path
    say: Callable[[str], None] = print


def interleaved(options: Options, peers: Sequence[T]) -> Iterator[T]:
    """Yield every peer once a round; every other round backwards, so that none always comes after the same one."""
    for number in range(options.rounds):
        yield from peers if number % 2 == 0 else reversed(peers)
