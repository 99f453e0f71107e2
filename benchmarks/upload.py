"""``upload``: a file of 20 MiB in a form, to a module that reads it, against a handler that only receives it."""

from __future__ import annotations

import sys

import msgspec

from .load import Load
from .millrace import Millrace
from .options import Options, interleaved
from .processes import BenchmarkError, Program, bare_peer, run_json
from .rows import Row, make_row

BARE = "bare aiohttp, received only"
MIB = 20
SIZE = MIB * 1024**2


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when a server does not start or a file arrives changed in size."""
    server, bare = Millrace(options.cache / "upload"), bare_peer()
    seen: dict[str, list[Load]] = {"ours": [], "bare": []}
    with server, bare:
        server.wait_ready("Bench")
        for side in interleaved(options, list(seen)):
            if side == "ours":
                load = _upload(server, "/v1/bench/size", f'"size":{SIZE}', options.seconds)
            else:
                load = _upload(bare, "/upload", '"success": true', options.seconds)
            seen[side].append(load)
            options.say(f"{side}: {load.answers} uploads, p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms")
    ours, bares = [load.p50 for load in seen["ours"]], [load.p50 for load in seen["bare"]]
    return [make_row(f"upload/{MIB}-MiB", "ms", ours, BARE, bares)]


def _upload(program: Program, path: str, expected: str, seconds: float) -> Load:
    command = [sys.executable, "-m", "benchmarks.load", str(program.port), path, "--form-file", str(SIZE)]
    load = msgspec.convert(run_json([*command, "--seconds", str(seconds), "--expected", expected]), Load)
    if load.errors or not load.answers:
        raise BenchmarkError(f"{path} answered wrongly: {load.first_error}")
    return load
