"""The soak: mixed load for a long time, and whether anything grows that should not.

``python -m tests.chaos.soak --minutes 40 [--seed 1]`` prints a table; exit status 1 when memory, descriptors, disk or
latency have grown after the warm-up, or when a client got what it should not have got.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from tests.support.chaos_server import ChaosServer
from tests.support.soak_figures import MEGABYTE, Figures, percentile
from tests.support.soak_load import SoakLoad

SAMPLE_SECONDS = 5.0
WARM_UP_SHARE = 0.25
"""Of the whole time; by then what is kept for a while is forgotten at the pace at which it comes."""
_TROUBLE = re.compile(r"Traceback|^[\d:]{8} E |: (?:Backoff|Failed)")
_KEPT = {"MILLRACE_REPLY_RETENTION": "60", "MILLRACE_RESULT_RETENTION": "60"}


class Soak:
    """One run. ``figures`` and ``faults`` are what it has seen."""

    def __init__(self, chaos: ChaosServer, load: SoakLoad) -> None:
        self.figures = Figures()
        self.load = load
        self._chaos = chaos

    async def run(self, seconds: float, every: float) -> None:
        """Load the server and take a sample every so many seconds."""
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            await self.load.start(session)
            began = time.monotonic()
            try:
                while (passed := time.monotonic() - began) < seconds:
                    await asyncio.sleep(min(every, seconds - passed))
                    await self._take_sample(time.monotonic() - began)
            finally:
                await self.load.stop()

    async def _take_sample(self, passed: float) -> None:
        latencies = self._latencies()
        try:
            sizes = await asyncio.to_thread(self._sizes)
        except (ValueError, psutil.NoSuchProcess):
            self.load.faults.append(f"after {passed:.0f} s the server or its module was not there")
        else:
            self.figures.add(passed, {**sizes, **latencies})

    def _latencies(self) -> dict[str, float]:
        taken = self.load.taken_latencies()
        half, most = percentile(taken, 0.5) * 1000, percentile(taken, 0.99) * 1000
        return {"latency, half below": half, "latency, 99 of 100 below": most}

    def _sizes(self) -> dict[str, float]:
        process = self._chaos.server.process
        assert process is not None
        server = psutil.Process(process.pid)
        (module,) = (psutil.Process(pid) for pid in self._chaos.module_pids())
        return {
            "memory of the server": server.memory_info().rss / MEGABYTE,
            "memory of the module": module.memory_info().rss / MEGABYTE,
            "descriptors of the server": server.num_fds(),
            "descriptors of the module": module.num_fds(),
            "disk": _disk(self._chaos.server.folder / "data") / MEGABYTE,
        }


def _disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and "logs" not in path.parts else 0
        except OSError:  # it was just deleted
            continue
    return total


async def run(folder: Path, minutes: float, seed: int, every: float = SAMPLE_SECONDS) -> tuple[str, list[str]]:
    """Run it; return the table, and a line for every fault."""
    seconds = minutes * 60
    with ChaosServer(folder, **_KEPT) as chaos:
        soak = Soak(chaos, SoakLoad(chaos.server.url, random.Random(seed)))
        await soak.run(seconds, every)
        troubles = [line.strip() for line in chaos.server.output if _TROUBLE.search(line)]
    warm_up = seconds * WARM_UP_SHARE
    counts = [f"| {name} | {count} | | |" for name, count in sorted(soak.load.counts.items())]
    head = ["| what | first quarter | last quarter | gain in an hour |", "|---|---:|---:|---:|"]
    table = "\n".join([*head, *soak.figures.rows(warm_up), f"| minutes | {minutes:g} | | |", *counts])
    return table, soak.load.faults + troubles + soak.figures.grown(warm_up)


def main() -> int:
    """Run by hand; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        table, faults = asyncio.run(run(Path(folder), options.minutes, options.seed))
    print(table)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
