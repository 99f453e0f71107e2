"""What a stranger may send to the channel: a handshake, frames right and wrong, messages without a hello."""

from __future__ import annotations

import json
import struct
from typing import Any

from .bodies import one_line
from .chance import LENGTHS, Chance
from .messages import message

_OPCODES = [0, 1, 1, 1, 1, 2, 3, 7, 8, 8, 9, 9, 10, 11, 15]
_HANDSHAKE = [
    b"GET /v1/channel HTTP/1.1",
    b"Host: localhost",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def conversation(chance: Chance) -> bytes:
    """A whole connection: the handshake and up to a few frames."""
    lines = list(_HANDSHAKE)
    if chance.once_in(6):
        lines[chance.randrange(1, len(lines))] = b"X: y"
    if chance.once_in(6):
        extra = (b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: x", b"Origin: http://x")
        lines.append(chance.choice(extra))
    if chance.once_in(12):
        at = chance.randrange(2, len(lines))
        lines[at] = lines[at].partition(b":")[0] + b": " + one_line(chance.encoded())
    sent = b"\r\n".join([*lines, b"", b""])
    return sent + b"".join(frame(chance, content(chance)) for _ in range(chance.randrange(5)))


def content(chance: Chance) -> bytes:
    """What may be in a frame."""
    if chance.once_in(4):
        return chance.bytes_of(70000)
    lines = [json.dumps(_first(chance)).encode() for _ in range(chance.choice((1, 1, 1, 2)))]
    text = b"\n".join(lines)
    return chance.damaged(text) if chance.once_in(4) else text


def frame(chance: Chance, payload: bytes) -> bytes:
    """One frame, in one of four wrong in some way."""
    wrong = chance.once_in(4)
    first = chance.choice(_OPCODES if wrong else [1])
    first |= chance.choice((0x80, 0x80, 0xC0, 0xF0, 0x00)) if wrong else 0x80
    masked = not (wrong and chance.once_in(3))
    length = chance.choice((*LENGTHS, 2**31, 2**63 - 1, 2**63)) if wrong and chance.once_in(3) else len(payload)
    mask = chance.randbytes(4) if masked else b""
    head = bytes([first]) + _length(length, 0x80 if masked else 0, chance.once_in(10))
    return head + mask + (masked_with(mask, payload) if masked else payload)


def masked_with(mask: bytes, payload: bytes) -> bytes:
    """The payload as it travels."""
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return whole.to_bytes(len(payload), "big")


def _length(length: int, bit: int, longer: bool) -> bytes:
    if length < 126 and not longer:
        return bytes([bit | length])
    if length < 65536 and not longer:
        return bytes([bit | 126]) + struct.pack("!H", length)
    return bytes([bit | 127]) + struct.pack("!Q", min(length, 2**64 - 1))


def _first(chance: Chance) -> Any:
    hello: dict[str, Any] = {
        "type": "hello",
        "version": 1,
        "module_id": "Puppet",
        "launch_id": "x",
        "secret": "y",
        "pid": 1,
        "sdk": "1",
        "parallelism": 1,
        "long_parallelism": 1,
        "resumes": [{"command_id": "x", "last": 1}],
    }
    if chance.once_in(3):
        return message(chance)
    for _ in range(chance.randrange(3)):
        hello[chance.choice(list(hello))] = chance.value(2)
    return hello
