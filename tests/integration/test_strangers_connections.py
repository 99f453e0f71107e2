"""Bodies that nobody knows the sender of, a byte now and then: they keep nobody out who has a key."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from tests.support.hosting_modules import write_module
from tests.support.server_process import ServerProcess, wait_until

KEY = "alices-own-key-0123456789"
MOST = 12


@pytest.mark.parametrize("path", ["/v1/login", "/v1/test/echo"])
def test_bodies_of_strangers_make_room(tmp_path: Path, path: str) -> None:
    write_module(tmp_path / "modules", "Echo")
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    server = ServerProcess(
        tmp_path, tmp_path / "modules", MILLRACE_API_KEYS=f"alice={KEY}", MILLRACE_MAX_CONNECTIONS=str(MOST)
    )
    with server, contextlib.ExitStack() as opened:

        def served() -> bool:
            with contextlib.suppress(OSError):
                return server.call("/v1/test/echo", b"{}", {"X-API-Key": KEY})[0] == 200
            return False

        wait_until("the module answers", served)
        slow = []
        for _ in range(2 * MOST):
            slow.append(opened.enter_context(socket.create_connection(("127.0.0.1", server.port))))
            slow[-1].sendall(head.encode())
        for _ in range(5):
            for connection in slow:
                with contextlib.suppress(OSError):  # it has made room
                    connection.send(b" ")
            assert served()
