"""``dispatch``: a command that does nothing, through a real module process, against servers that do nothing.

Our SDK and the published one beside a bare aiohttp handler, LitServe, and the least that a second process costs, at
1 and at 32 connections.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import msgspec

from .load import Load
from .millrace import Millrace
from .options import Options, interleaved
from .peers.installed import NAME as LITSERVE
from .peers.installed import litserve_peer
from .processes import BenchmarkError, Program, bare_peer, run_json
from .rows import Row, make_row

BARE = "bare aiohttp handler"
HOP = "bare two-process hop"
OURS = "ours"
PUBLISHED = "published"
CONNECTIONS = (1, 32)
WARM_UP_SECONDS = 0.5


class _Target(msgspec.Struct, frozen=True):
    name: str
    program: Program
    path: str
    expected: str = '"success":'


_Seen = dict[tuple[str, int], list[Load]]


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when a server does not start or answers wrongly."""
    server = Millrace(options.cache / "dispatch", ("modules", "published"))
    with ExitStack() as running:
        targets = [
            _Target(BARE, running.enter_context(bare_peer()), "/echo"),
            _Target(HOP, running.enter_context(bare_peer("hop")), "/echo"),
        ]
        running.enter_context(server)
        server.wait_ready("Bench")
        targets.append(_Target(OURS, server, "/v1/bench/nothing", '"success":true'))
        for add in (_published, _litserve):
            try:
                targets.append(add(running, server, options))
            except BenchmarkError as error:
                options.say(f"skipped: {error}")
        seen = _load(options, targets)
    return _rows(seen)


def _published(running: ExitStack, server: Millrace, options: Options) -> _Target:
    server.wait_ready("BenchPublished")
    return _Target(PUBLISHED, server, "/v1/benchpublished/nothing", '"success":')


def _litserve(running: ExitStack, server: Millrace, options: Options) -> _Target:
    return _Target(LITSERVE, running.enter_context(litserve_peer(options.cache)), "/predict")


def _load(options: Options, targets: list[_Target]) -> _Seen:
    seen: _Seen = {}
    for target in targets:
        _ask(target, CONNECTIONS[-1], WARM_UP_SECONDS)
    for target in interleaved(options, targets):
        for connections in CONNECTIONS:
            load = _ask(target, connections, options.seconds)
            seen.setdefault((target.name, connections), []).append(load)
            told = f"{load.rate:,.0f}/s, p50 {load.p50:.2f} ms, p99 {load.p99:.2f} ms"
            options.say(f"{target.name}, {connections}: {told}")
    return seen


def _ask(target: _Target, connections: int, seconds: float) -> Load:
    command = [sys.executable, "-m", "benchmarks.load", str(target.program.port), target.path]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--expected", target.expected]
    load = msgspec.convert(run_json(command), Load)
    if load.errors or not load.answers:
        raise BenchmarkError(f"{target.name} answered wrongly {load.errors} times: {load.first_error}")
    return load


def _rows(seen: _Seen) -> list[Row]:
    rows = []
    for name in (OURS, PUBLISHED, HOP):
        for peer, suffix in ((BARE, ""), (HOP, "/hop"), (LITSERVE, "/litserve")):
            for connections in reversed(CONNECTIONS):
                ours, theirs = seen.get((name, connections)), seen.get((peer, connections))
                if ours and theirs and name != peer and not (name == HOP and peer == LITSERVE):
                    rows += _pair(name, ours, peer, theirs, f"{connections}{suffix}")
    return rows


def _pair(name: str, ours: list[Load], peer: str, theirs: list[Load], suffix: str) -> list[Row]:
    row = f"dispatch/{'hop' if name == HOP else name}"
    rates = [load.rate for load in ours], [load.rate for load in theirs]
    delays = [load.p50 for load in ours], [load.p50 for load in theirs]
    return [
        make_row(f"{row}/rate-{suffix}", "requests/s", rates[0], peer, rates[1]),
        make_row(f"{row}/p50-{suffix}", "ms", delays[0], peer, delays[1]),
    ]
