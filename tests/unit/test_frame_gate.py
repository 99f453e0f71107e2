"""Frames that are too long are left out of a connection, however its bytes are cut; all others pass unchanged."""

from __future__ import annotations

import itertools

import pytest

from server.links.frame_gate import FrameGate

EMPTY = b"\x81\x00"
MASK = b"\x11\x22\x33\x44"


def frame(payload: bytes, first: int = 0x81, mask: bytes = MASK) -> bytes:
    """A frame as a client sends it: text, in one part, masked."""
    size = len(payload)
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes((first, flag | size))
    elif size < 65536:
        head = bytes((first, flag | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, flag | 127)) + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload
    return head + mask + masked


class Reader:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.fed = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        assert data
        self.fed += data
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True


def opened(most: int) -> tuple[FrameGate, Reader]:
    reader = Reader()
    gate = FrameGate(reader, 10)
    gate.open(most)
    return gate, reader


LONG = frame(b'{"type":"events","command_id":"c7"' + b"x" * 70_000)
SENT = [
    frame(b"one"),
    frame(b"x" * 126),
    LONG,
    frame(b""),
    frame(b"pong", 0x8A),
    frame(b"y" * 40_000),
    LONG,
    frame(b"end"),
]
EXPECTED = b"".join(EMPTY if each is LONG else each for each in SENT)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 255, 256, 4096, 65_536, 1_000_000])
def test_only_what_is_too_long_is_left_out(step: int) -> None:
    gate, reader = opened(65_536)
    stream = b"".join(SENT)
    for at in range(0, len(stream), step):
        gate.feed_data(stream[at : at + step])
    assert reader.fed == EXPECTED
    assert [each.length for each in gate.left_out] == [70_034] * 2
    assert all(each.head.startswith(b'{"type":"events","command_id":"c7"xxx') for each in gate.left_out)
    assert all(len(each.head) == 256 for each in gate.left_out)
    gate.feed_eof()
    assert reader.ended


def test_it_is_told_as_soon_as_its_beginning_is_there() -> None:
    gate, reader = opened(1000)
    gate.feed_data(frame(b"z" * 10_000_000, mask=b"")[:300])
    assert reader.fed == EMPTY
    assert gate.left_out[0].head == b"z" * 256


def test_any_number_of_parts_is_left_out_before_it_is_opened() -> None:
    reader = Reader()
    FrameGate(reader, 10).feed_data(frame(b"x", 0x01) * 20_000 + frame(b"whole"))
    assert reader.fed == EMPTY * 20_000 + frame(b"whole")


def test_before_it_is_opened_messages_are_short_and_whole() -> None:
    for data in (frame(b"x" * 11), frame(b"part", 0x01), frame(b"part", 0x80)):
        reader = Reader()
        FrameGate(reader, 10).feed_data(data)
        assert reader.fed == EMPTY
    reader = Reader()
    gate = FrameGate(reader, 10)
    for data in itertools.chain((frame(b"x" * 10), frame(b"p" * 10, 0x89))):
        gate.feed_data(data)
    assert reader.fed == frame(b"x" * 10) + frame(b"p" * 10, 0x89)
