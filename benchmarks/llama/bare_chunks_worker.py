"""What steps of different sizes cost llama.cpp late in a prompt, with nothing beside them.

Runs in LlamaChat's environment: ``python bare_chunks_worker.py MODEL THREADS CONTEXT``. A line on its standard input
says how late: ``{"depth": TOKENS}``; a line on its output answers ``{"size": TOKENS, "seconds": SECONDS, "all": {…}}``:
the smallest step in which a token costs little more than in the best, how long it lasts, and how long each size does.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from llamachat.engine import native, sequence_state
from llamachat.engine.context import Context
from llamachat.engine.model import Model
from llamachat.engine.prompt_sizes import EFFICIENT
from llamachat.engine.scheduler import Chunk

SIZES = (16, 32, 64, 128, 256, 512)
ROUNDS = 3


def seconds_of(context: Context, depth: int) -> dict[int, float]:
    """Return how long steps last after so many tokens, which need not be computed to be looked at."""
    context.decode([Chunk(0, 0, 0, [1], wants_output=False)])
    one = context.state(0)
    many = None if one is None else sequence_state.repeated(one, depth, streams=1)
    if many is None or not context.restore(0, many, depth):
        raise RuntimeError("llama.cpp did not take the tokens before")
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size, times in taken.items():
            began = time.monotonic()
            context.decode([Chunk(0, 0, depth, range(1, size + 1), wants_output=False)])
            context.wait()
            times.append(time.monotonic() - began)
            context.truncate(0, depth)
    context.clear(0)
    return {size: statistics.median(times) for size, times in taken.items()}


def smallest_efficient(seconds: Mapping[int, float]) -> int:
    """Return the smallest size in which a token costs little more than in the best."""
    best = min(took / size for size, took in seconds.items())
    return min(size for size, took in seconds.items() if took / size <= EFFICIENT * best)


def main(model_file: Path, threads: int, length: int) -> None:
    """Answer until the input ends."""
    native.start()
    model = Model(model_file, gpu_layers=0)
    context = Context(model, length=length, sequences=1, threads=threads, batch=SIZES[-1])
    for line in sys.stdin:
        seconds = seconds_of(context, json.loads(line)["depth"])
        size = smallest_efficient(seconds)
        print(json.dumps({"size": size, "seconds": seconds[size], "all": seconds}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
