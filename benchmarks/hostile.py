"""``hostile``: how late the event loop is while bodies arrive that want to stop it, against the idle server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import msgspec

from server.config import ROOT

from .figures import percentile
from .hostile_bodies import HOSTILE
from .millrace import Millrace
from .options import Options
from .processes import BenchmarkError
from .rows import Row, make_row

IDLE = "the idle server"
BEAT_SECONDS = 0.01
_PING = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def measure(options: Options) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError`` when the server does not start, or does not answer."""
    server = Millrace(options.cache / "hostile")
    names = [name for name in HOSTILE if not options.rows or name in options.rows]
    seen: dict[str, list[float]] = {name: [] for name in names}
    idle: dict[str, list[float]] = {name: [] for name in names}
    with server:
        server.wait_ready("Bench")
        for _ in range(options.rounds):
            for name in names:
                idle[name].append(percentile(sorted(_beats(server.port, options.seconds)), 0.99))
                delays, statuses = _under(name, server.port, options.seconds)
                seen[name].append(percentile(delays, 0.99))
                said = f"p99 {seen[name][-1]:.1f} ms, longest {delays[-1]:.1f} ms"
                options.say(f"{name}: {said}, answers {statuses}, {server.memory():.0f} MiB")
    return [make_row(f"hostile/{name}", "ms", seen[name], IDLE, idle[name]) for name in names]


def _under(name: str, port: int, seconds: float) -> tuple[list[float], dict[str, int]]:
    """Return the sorted delays of the pings under such a load, and how often which status was answered."""
    command = [sys.executable, "-m", "benchmarks.hostile_bodies", str(port), name, "--seconds", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        if load.stdout.readline() != "ready\n":
            raise BenchmarkError(f"{command} did not begin")
        delays = sorted(_beats(port, seconds))
        return delays, msgspec.json.decode(load.stdout.readline(), type=dict[str, int])


def _beats(port: int, seconds: float) -> list[float]:
    """Ping at a steady pace; return how late each answer was after it was due to be asked for, in milliseconds."""
    delays = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for number in range(int(seconds / BEAT_SECONDS)):
            due = began + number * BEAT_SECONDS
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.sendall(_PING)
            if not connection.recv(65536):
                raise BenchmarkError("the server has closed the connection of the pings")
            delays.append((time.perf_counter() - due) * 1000)
    return delays
