"""The load generator, a program of its own: every peer is asked by the same one.

``python -m benchmarks.load PORT PATH --connections N --seconds S [--body TEXT]`` prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import msgspec

from .event_loop import run_loop
from .figures import percentile
from .http_connection import HttpConnection, form_with_file, request_bytes

CONNECT_SECONDS = 10.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the generator saw. Times are milliseconds; ``rate`` is answers a second."""

    rate: float
    p50: float
    p99: float
    answers: int
    errors: int
    first_error: str = ""


class _Generator:
    """Keeps one request under way on each connection until the time is over."""

    def __init__(self, request: bytes, expected: bytes) -> None:
        self._request = request
        self._expected = expected
        self._sent_at: dict[HttpConnection, float] = {}
        self._delays: list[float] = []
        self._stop_at = float("inf")
        self.errors = 0
        self.first_error = ""

    async def run(self, port: int, connections: int, seconds: float) -> Load:
        """Ask as fast as the answers come. Raises ``OSError`` when there is no server."""
        loop = asyncio.get_running_loop()
        opened = []
        for _ in range(connections):
            made = loop.create_connection(lambda: HttpConnection(self._answered), "127.0.0.1", port)
            opened.append((await asyncio.wait_for(made, CONNECT_SECONDS))[1])
        started = time.perf_counter()
        self._stop_at = started + seconds
        for connection in opened:
            self._ask(connection)
        await asyncio.wait([connection.lost for connection in opened], timeout=seconds + CONNECT_SECONDS)
        took = time.perf_counter() - started
        for connection in opened:
            if connection.failure is not None:
                self._note_error(repr(connection.failure))
            connection.close()
        return self._load(took)

    def _ask(self, connection: HttpConnection) -> None:
        self._sent_at[connection] = time.perf_counter()
        connection.send(self._request)

    def _answered(self, connection: HttpConnection, status: int, body: bytes) -> None:
        now = time.perf_counter()
        self._delays.append(now - self._sent_at[connection])
        if status != 200 or self._expected not in body:
            self._note_error(f"{status} {body[:200]!r}")
        if now < self._stop_at:
            self._ask(connection)
        else:
            connection.close()

    def _note_error(self, text: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or text

    def _load(self, took: float) -> Load:
        delays = sorted(self._delays) or [0.0]
        return Load(
            rate=len(self._delays) / took,
            p50=percentile(delays, 0.50) * 1000,
            p99=percentile(delays, 0.99) * 1000,
            answers=len(self._delays),
            errors=self.errors,
            first_error=self.first_error,
        )


async def generate(port: int, request: bytes, connections: int, seconds: float, expected: bytes = b"") -> Load:
    """Load a server on this machine; an answer that is not 200 or does not hold ``expected`` is an error."""
    return await _Generator(request, expected).run(port, connections, seconds)


def main(arguments: list[str]) -> None:
    """Run the generator and print what it saw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--body", default='{"n":1}')
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument(
        "--form-file", type=int, default=0, metavar="BYTES", help="send a form with such a file instead"
    )
    parser.add_argument("--expected", default="", help="text that every answer must hold")
    options = parser.parse_args(arguments)
    body, content_type = options.body.encode(), options.content_type
    if options.form_file:
        body, content_type = form_with_file(options.form_file)
    request = request_bytes("POST", options.path, body, content_type)
    work = generate(options.port, request, options.connections, options.seconds, options.expected.encode())
    print(msgspec.json.encode(run_loop(work)).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
