"""``start``: how soon the server answers, how soon a module is ready, and what both cost while nobody asks anything."""

from __future__ import annotations

import time

from .millrace import Millrace
from .options import Options
from .processes import Program, bare_peer
from .rows import Row, make_row

BARE = "bare aiohttp"
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 10.0


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when a server does not start."""
    ping: list[float] = []
    ready: list[float] = []
    bare_start: list[float] = []
    memory: list[tuple[float, float]] = []
    cpu: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        server, bare = Millrace(options.cache / "start"), bare_peer()
        try:
            began = time.monotonic()
            server.start()
            server.wait_ping()
            ping.append(time.monotonic() - began)
            server.wait_ready("Bench")
            ready.append(time.monotonic() - began)
            bare_start.append(bare.start())
            time.sleep(SETTLE_SECONDS)
            cpu.append(_idle_shares(server, bare))
            memory.append((server.memory(), bare.memory()))
        finally:
            server.stop()
            bare.stop()
        used = f"{memory[-1][0]:.0f} MiB, {cpu[-1][0]:.2f} %"
        options.say(f"ping {ping[-1]:.2f} s, module ready {ready[-1]:.2f} s, {used}")
    return [
        make_row("start/ping", "s", ping, BARE, bare_start),
        make_row("start/module-ready", "s", ready, BARE, bare_start),
        make_row("start/idle-memory", "MiB", [ours for ours, _ in memory], BARE, [theirs for _, theirs in memory]),
        make_row("start/idle-cpu", "% of a core", [ours for ours, _ in cpu], BARE, [theirs for _, theirs in cpu]),
    ]


def _idle_shares(*programs: Program) -> tuple[float, float]:
    before = [program.cpu_seconds() for program in programs]
    began = time.monotonic()
    time.sleep(IDLE_SECONDS)
    took = time.monotonic() - began
    ours, theirs = ((p.cpu_seconds() - used) / took * 100 for p, used in zip(programs, before, strict=True))
    return ours, max(theirs, 0.01)  # a process that does nothing is not measured any finer
