"""``recovery``: seconds from the death of the server (SIGKILL, restarted at once) until a followed stream moves again.

The peer is a bare aiohttp application, killed and restarted in the same way: its stream begins anew, ours goes on.
"""

from __future__ import annotations

import http.client
import json
import re
import time

from .millrace import Millrace
from .options import Options, interleaved
from .processes import BenchmarkError, Program, bare_peer, wait_until
from .rows import Row, make_row
from .watching import post

BARE = "bare aiohttp, its stream lost"
TOKENS = "count=100000&rate=50"
LIVE_SECONDS = 1.0
_ID = re.compile(rb"id: (\d+)")


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when the stream does not go on where it was."""
    server, bare = Millrace(options.cache / "recovery"), bare_peer()
    seen: dict[str, list[float]] = {"ours": [], "bare": []}
    with server, bare:
        server.wait_ready("Bench")
        for side in interleaved(options, list(seen)):
            took = _recover_ours(server) if side == "ours" else _recover_bare(bare)
            seen[side].append(took)
            options.say(f"{side}: {took:.3f} s")
    return [make_row("recovery/stream-moves", "s", seen["ours"], BARE, seen["bare"])]


def _recover_ours(server: Program) -> float:
    command_id = json.loads(post(server, f"/v1/bench/tokens?{TOKENS}"))["commandId"]
    path = f"/v1/commands/{command_id}/events"
    last = _read_for(server, "GET", path, LIVE_SECONDS)
    killed = time.monotonic()
    server.kill()
    server.start()
    first = wait_until("the stream moves", lambda: _first_id(server, "GET", f"{path}?after={last}"))
    took = time.monotonic() - killed
    if first != last + 1:
        raise BenchmarkError(f"after event {last} the stream went on with {first}")
    post(server, f"/v1/commands/{command_id}/cancel")
    return took


def _recover_bare(bare: Program) -> float:
    _read_for(bare, "POST", f"/tokens?{TOKENS}", LIVE_SECONDS)
    killed = time.monotonic()
    bare.kill()
    bare.port = 0  # it chooses a new one
    bare.start()
    wait_until("the stream moves", lambda: _first_id(bare, "POST", f"/tokens?{TOKENS}"))
    return time.monotonic() - killed


def _read_for(program: Program, method: str, path: str, seconds: float) -> int:
    """Follow a stream for a while; return the number of the last event that came whole."""
    until, last, number = time.monotonic() + seconds, 0, 0
    answer = _open(program, method, path)
    while time.monotonic() < until or not last:
        line = answer.readline()
        if not line:
            raise BenchmarkError(f"the stream {path} ended")
        if found := _ID.match(line):
            number = int(found.group(1))
        elif line == b"\n":
            last = number
    answer.close()
    return last


def _first_id(program: Program, method: str, path: str) -> int:
    """Return the number of the first event that comes; 0 when there is no stream yet."""
    try:
        answer = _open(program, method, path)
    except (OSError, http.client.HTTPException):
        return 0
    with answer:
        while line := answer.readline():
            if found := _ID.match(line):
                return int(found.group(1))
    return 0


def _open(program: Program, method: str, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=30)
    connection.request(method, path, headers={"Accept": "text/event-stream", "Content-Length": "0"})
    return connection.getresponse()
