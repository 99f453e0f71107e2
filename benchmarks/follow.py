"""The watcher of event streams, a program of its own: it counts events and measures how old their time stamps are.

``python -m benchmarks.follow METHOD PORT PATH --watchers N`` prints ``ready`` once every stream has said that it waits
for ``go``, and one JSON object when all have ended. A time stamp is ``@…;``: nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time

import msgspec

from .event_loop import run_loop
from .figures import percentile
from .stream_connection import StreamConnection

WATCH_SECONDS = 120.0
_STAMP = re.compile(rb"@(\d+);")
_EVENT = b"\ndata: "


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """``events``: of all streams since ``ready``. ``last_ns``: when the last came. Delays are milliseconds."""

    events: int
    last_ns: int
    stamps: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0


class _Watchers:
    def __init__(self, count: int) -> None:
        self._waiting = count
        self._events = 0
        self._last_ns = 0
        self._delays: list[float] = []
        self.ready = asyncio.Event()

    def begun(self) -> None:
        """One more stream waits for the beginning."""
        self._waiting -= 1
        if self._waiting == 0:
            self.ready.set()

    def received(self, data: bytes) -> None:
        """Look at what has come; ``data`` begins and ends between two events."""
        now = time.monotonic_ns()
        self._events += data.count(_EVENT)
        self._last_ns = now
        self._delays += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(data)]

    def followed(self) -> Followed:
        """Return what was seen."""
        delays = sorted(self._delays)
        if not delays:
            return Followed(events=self._events, last_ns=self._last_ns)
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        worst = delays[-1]
        stamps = len(delays)
        return Followed(events=self._events, last_ns=self._last_ns, stamps=stamps, p50=p50, p99=p99, worst=worst)


async def follow(method: str, port: int, path: str, count: int) -> Followed:
    """Watch a path ``count`` times over. Raises ``OSError`` without a server, ``TimeoutError`` without an end."""
    watchers = _Watchers(count)
    loop = asyncio.get_running_loop()
    streams = []
    for _ in range(count):
        opened = loop.create_connection(
            lambda: StreamConnection(method, path, watchers.begun, watchers.received), "127.0.0.1", port
        )
        streams.append((await opened)[1])
    await asyncio.wait_for(watchers.ready.wait(), WATCH_SECONDS)
    print("ready", flush=True)
    await asyncio.wait_for(asyncio.gather(*(stream.ended for stream in streams)), WATCH_SECONDS)
    return watchers.followed()


def main(arguments: list[str]) -> None:
    """Run the watcher and print what it saw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.follow")
    parser.add_argument("method", choices=["GET", "POST"])
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--watchers", type=int, default=1)
    options = parser.parse_args(arguments)
    followed = run_loop(follow(options.method, options.port, options.path, options.watchers))
    print(msgspec.json.encode(followed).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
