"""``relay``: how much later a token arrives through Millrace, and how many events reach many watchers of one command.

The peer is a bare aiohttp application that writes the same events to its clients itself, without a module process.
"""

from __future__ import annotations

import json
from typing import Literal

from .millrace import Millrace
from .options import Options, interleaved
from .processes import BenchmarkError, Program, bare_peer
from .rows import Row, make_row
from .watching import Watched, post, watch

BARE = "bare aiohttp streams"
STREAMS, TOKENS_A_SECOND = 32, 50
FLOODS = {100: 2_000, 1000: 200, 1: 40_000}
"""Watchers → events that each of them gets."""

Side = Literal["ours", "bare"]


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when a server does not start, or events are missing."""
    server, bare = Millrace(options.cache / "relay"), bare_peer()
    with server, bare:
        server.wait_ready("Bench")
        rows = _tokens(options, server, bare)
        for watchers, events in FLOODS.items():
            rows += _flood(options, server, bare, watchers, events)
    return rows


def _tokens(options: Options, server: Program, bare: Program) -> list[Row]:
    count = int(TOKENS_A_SECOND * options.seconds)
    query = f"wait=1&count={count}&rate={TOKENS_A_SECOND}"
    seen: dict[Side, list[Watched]] = {"ours": [], "bare": []}
    for side in interleaved(options, list(seen)):
        if side == "ours":
            watched = watch(server, "POST", f"/v1/bench/tokens?{query}", "/v1/bench/go", STREAMS)
        else:
            watched = watch(bare, "POST", f"/tokens?{query}", "/go", STREAMS)
        if watched.seen.stamps != STREAMS * count:
            raise BenchmarkError(f"{side}: {watched.seen.stamps} of {STREAMS * count} tokens arrived")
        seen[side].append(watched)
        options.say(f"{side}: p50 {watched.seen.p50:.2f} ms, p99 {watched.seen.p99:.2f} ms")
    return [
        _row(seen, "relay/delay-p99", "ms", [w.seen.p99 for w in seen["ours"]], [w.seen.p99 for w in seen["bare"]]),
        _row(seen, "relay/delay-p50", "ms", [w.seen.p50 for w in seen["ours"]], [w.seen.p50 for w in seen["bare"]]),
    ]


def _flood(options: Options, server: Program, bare: Program, watchers: int, events: int) -> list[Row]:
    seen: dict[Side, list[Watched]] = {"ours": [], "bare": []}
    for side in interleaved(options, list(seen)):
        watched = _flood_ours(server, watchers, events) if side == "ours" else _flood_bare(bare, watchers, events)
        if watched.seen.events < watchers * events:
            raise BenchmarkError(f"{side}: {watched.seen.events} of {watchers * events} events arrived")
        seen[side].append(watched)
        options.say(f"{side}, {watchers} watchers: {watched.rate:,.0f} events/s")
    name = f"relay/fan-out-{watchers}"
    rows = [_row(seen, name, "events/s", [w.rate for w in seen["ours"]], [w.rate for w in seen["bare"]])]
    if watchers >= 1000:
        kib = [[max(w.memory, 0.001) * 1024 / watchers for w in seen[side]] for side in ("ours", "bare")]
        # The first round alone: later ones reuse what the first one took from the system.
        rows.append(make_row("relay/memory-per-watcher", "KiB", kib[0][:1], BARE, kib[1][:1]))
    return rows


def _flood_ours(server: Program, watchers: int, events: int) -> Watched:
    started = json.loads(post(server, f"/v1/bench/flood?wait=1&count={events}"))
    path = f"/v1/commands/{started['commandId']}/events"
    return watch(server, "GET", path, "/v1/bench/go", watchers)


def _flood_bare(bare: Program, watchers: int, events: int) -> Watched:
    return watch(bare, "POST", f"/flood?count={events}", "/go", watchers)


def _row(seen: dict[Side, list[Watched]], name: str, unit: str, ours: list[float], bare: list[float]) -> Row:
    return make_row(name, unit, ours, BARE, bare)
