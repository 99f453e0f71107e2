"""Runs the watcher program against a server: wait until all streams wait, say go, and read what it saw."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request

import msgspec

from server.config import ROOT

from .follow import Followed
from .processes import BenchmarkError, Program


class Watched(msgspec.Struct, frozen=True):
    """``rate``: events a second that reached the watchers since ``go``. ``memory``: MiB more, all of them waiting."""

    seen: Followed
    rate: float
    memory: float


def watch(program: Program, method: str, path: str, go: str, watchers: int) -> Watched:
    """Watch ``path``; POST to ``go`` lets it begin. Raises ``BenchmarkError`` when a stream does not end well."""
    command = [sys.executable, "-m", "benchmarks.follow", method, str(program.port), path, "--watchers", str(watchers)]
    before = program.memory()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        if watcher.stdout.readline().strip() != "ready":
            raise BenchmarkError(f"the watcher failed: {watcher.communicate()[1][-1000:]}")
        memory = program.memory() - before
        began = time.monotonic_ns()
        post(program, go)
        output, errors = watcher.communicate()
    if watcher.returncode:
        raise BenchmarkError(f"the watcher failed: {errors[-1000:]}")
    seen = msgspec.json.decode(output, type=Followed)
    return Watched(seen, seen.events / ((seen.last_ns - began) / 1e9), memory)


def post(program: Program, path: str) -> bytes:
    """POST nothing and return the answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{program.port}{path}", data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body
