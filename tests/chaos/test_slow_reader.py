"""Clients that follow a fast stream and do not read: nobody else notices, and they are told what they missed."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.chaos_server import TALKER
from tests.support.server_process import ServerProcess, wait_until

WORD = "x" * 2000
WORDS = 8000
READERS = 20
CROWD = 200
KIB_EACH = 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, TALKER.parent, MILLRACE_DRAIN="0") as running:
        running.wait_ready("Talker")
        yield running


class Reader:
    """Follows a command over a plain connection; ``read`` returns all that came until the end."""

    def __init__(self, server: ServerProcess, command_id: str, small: bool) -> None:
        self._socket = socket.socket()
        if small:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", server.port))
        head = f"GET /v1/commands/{command_id}/events HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
        self._socket.sendall(head.encode())

    def read(self) -> bytes:
        """Read until the server closes the connection."""
        chunks = []
        with contextlib.closing(self._socket):
            while chunk := self._socket.recv(1 << 18):
                chunks.append(chunk)
        return b"".join(chunks)

    def wait(self) -> None:
        """Return when the first bytes have come; they are not taken."""
        self._socket.recv(1, socket.MSG_PEEK)

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def events(stream: bytes) -> list[tuple[int, str, str]]:
    """Return number, kind and text of every event."""
    found = re.findall(rb"^id: (\d+)\nevent: (\w+)\ndata: (.*)$", stream, re.MULTILINE)
    return [(int(seq), kind.decode(), json.loads(data).get("text", "")) for seq, kind, data in found]


def stream_words(server: ServerProcess, words: int = WORDS) -> str:
    body = server.post("/v1/talker/count", name=WORD, to=words, pause=0.001)
    assert body["commandStatus"] == "running", body
    return str(body["commandId"])


def test_who_does_not_read_slows_nobody_and_is_told_what_is_gone(server: ServerProcess) -> None:
    expected = "".join(f"{WORD}{n} " for n in range(1, WORDS + 1))
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    server.wait_ended("Talker", stream_words(server))
    before = process.memory_info().rss

    command_id = stream_words(server)
    slow = [Reader(server, command_id, small=True) for _ in range(READERS)]
    seen: list[bytes] = []
    quick = threading.Thread(target=lambda: seen.append(Reader(server, command_id, small=False).read()))
    quick.start()
    highest = 0

    def ended() -> bool:
        nonlocal highest
        highest = max(highest, process.memory_info().rss)
        return bool(server.get(f"/v1/commands/{command_id}/events?after=999999999")["ended"])

    wait_until("the producer has ended", ended, 100)
    quick.join(60)
    assert not quick.is_alive()
    followed = events(seen[0])
    assert "".join(text for _, _, text in followed) == expected
    assert [seq for seq, _, _ in followed] == list(range(1, len(followed) + 1))
    # The text alone is 16 MB; twenty readers' unread copies of it would be 320 MB.
    assert highest - before < 160 * 1024 * 1024

    for reader in slow:
        stream = reader.read()
        numbers = [seq for seq, _, _ in events(stream)]
        assert numbers == sorted(set(numbers))
        assert events(stream)[-1][1] == "result"
        assert b": earlier events are no longer kept" in stream
        assert len(numbers) < len(followed)
    page = server.get(f"/v1/commands/{command_id}/events?after=0")
    assert (page["gone"], page["ended"]) == (True, True)
    assert server.get(f"/v1/commands/{command_id}")["text"] == expected


def test_a_crowd_that_does_not_read_shares_one_buffer(server: ServerProcess) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    command_id = stream_words(server, 2500)
    server.wait_ended("Talker", command_id)
    whole = events(Reader(server, command_id, small=False).read())
    before = process.memory_info().rss
    crowd = [Reader(server, command_id, small=True) for _ in range(CROWD)]
    for reader in crowd:
        reader.wait()
    assert process.memory_info().rss - before < CROWD * KIB_EACH * 1024
    for reader in crowd[::50]:
        assert events(reader.read()) == whole
    for reader in crowd:
        reader.close()
