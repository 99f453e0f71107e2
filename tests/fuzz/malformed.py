"""Bytes that are hardly HTTP: broken heads, lying lengths, other protocols."""

from __future__ import annotations

from .chance import Chance
from .requests import Requests

_WHOLE = [
    b"",
    b"\r\n" * 20,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\r\n",
    b"GET / HTTP/0.9\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
]
_LINES = [
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 0x5",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Host: a\r\nHost: b",
    b" folded: line",
    b"no colon",
    b": no name",
    b"name\x00: x",
    b"Upgrade: h2c",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Trailer: x",
    b"X: " + b"v" * 9000,
    b"\r\n".join(b"X-%d: y" % number for number in range(300)),
]
_CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\n",
    b"ffffffffffffffff\r\n",
    b"5;x=y\r\nhello\r\n",
    b"5\nhello\n0\n\n",
    b"g\r\n",
]


class Malformed:
    """Makes what a connection begins with."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def make(self, chance: Chance) -> bytes:
        """All that is sent on one connection."""
        if chance.once_in(15):
            return chance.choice(_WHOLE) if chance.once_in(2) else chance.bytes_of(9000)
        whole = self._requests.make(chance)
        head, _, content = whole.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        for _ in range(chance.choice((0, 1, 1, 2))):
            lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(_LINES))
        if chance.once_in(3):
            lines[0] = chance.damaged(lines[0])
        if chance.once_in(8):
            content = chance.choice(_CHUNKS)
        head = chance.damaged(b"\r\n".join(lines)) if chance.once_in(2) else b"\r\n".join(lines)
        sent = head + chance.choice((b"\r\n\r\n",) * 6 + (b"\n\n", b"\r\r", b"")) + content
        return sent + (self._requests.make(chance) if chance.once_in(10) else b"")
