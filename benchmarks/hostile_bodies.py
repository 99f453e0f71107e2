"""Requests that want to stop a server with their body: many small things, or large ones, beyond the limits and within.

``python -m benchmarks.hostile_bodies PORT NAME --seconds S`` sends one of them again and again, and prints how many of
each status were answered.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec

ROUTE = "/v1/bench/nothing"
_MIB = 1024**2
_FORM = "multipart/form-data; boundary=xx"
_URLENCODED = "application/x-www-form-urlencoded"
_JSON = "application/json"


def _part(data: bytes, more: bytes = b"") -> bytes:
    return b'--xx\r\nContent-Disposition: form-data; name="a"' + more + b"\r\n\r\n" + data + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xx--\r\n"


def _keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % number for number in range(count)) + b"}"


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "parts-40000": (_FORM, lambda: _form(_part(b"1") * 40_000), ""),
    "parts-with-headers": (_FORM, lambda: _form(*[_part(b"1", b"\r\nX-Y: 1" * 15)] * 1024), ""),
    "part-header-endless": (_FORM, lambda: b"--xx\r\nX: " + b"x" * 20 * _MIB, ""),
    "preamble-20-mb": (_FORM, lambda: b"x\r\n" * (20 * _MIB // 3) + _form(_part(b"1")), ""),
    "json-2m-keys": (_JSON, lambda: _keys(2_000_000), ""),
    "json-deep": (_JSON, lambda: b"[" * 20 * _MIB, ""),
    "form-2m-fields": (_URLENCODED, lambda: b"a=1&" * 2_000_000, ""),
    "gzip-bomb": (_JSON, lambda: gzip.compress(b'{"a":"' + b"a" * 750 * _MIB), "gzip"),
    "gzip-bomb-form": (_FORM, lambda: gzip.compress(_form(_part(b"a" * 750 * _MIB, b'; filename="f"'))), "gzip"),
    "values-beyond": (_FORM, lambda: _form(*[_part(b"x" * 4 * _MIB)] * 30), ""),
    "values-within": (_FORM, lambda: _form(*[_part(b"x" * 30_000)] * 1000), ""),
    "json-text-within": (_JSON, lambda: b'{"a":"' + b"a\\n" * (10 * _MIB) + b'"}', ""),
    "json-keys-within": (_JSON, lambda: b'{"a":' + _keys(49_000) + b"}", ""),
    "form-text-within": (_URLENCODED, lambda: b"a=" + b"%41" * (10 * _MIB), ""),
    "file-within": (_FORM, lambda: _form(_part(b"x" * 120 * _MIB, b'; filename="f"')), ""),
}
"""Name → content type, what makes the body, and its encoding."""


def request_of(name: str) -> bytes:
    """Return a whole request, after which the connection ends."""
    kind, make, encoding = HOSTILE[name]
    body = make()
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    head += f"Content-Encoding: {encoding}\r\n" if encoding else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send(port: int, request: bytes) -> str:
    """Send a request on a connection of its own; return the status, or nothing when the connection was cut."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection, contextlib.suppress(OSError):
        with contextlib.suppress(ConnectionError):  # who is refused need not send the rest
            connection.sendall(request)
        while piece := connection.recv(65536):
            answer += piece
    return answer[9:12].decode()


def main(arguments: list[str]) -> None:
    """Send, and print what was answered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile_bodies")
    parser.add_argument("port", type=int)
    parser.add_argument("name", choices=HOSTILE)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args(arguments)
    request = request_of(options.name)
    print("ready", flush=True)
    seen: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        seen[send(options.port, request)] += 1
    print(msgspec.json.encode(seen).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
