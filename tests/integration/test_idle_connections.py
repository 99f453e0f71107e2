"""More idle connections than the server may have open files: the modules run on, and clients are answered."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest

from tests.support.hosting_modules import write_module
from tests.support.server_process import ServerProcess, wait_until

HALF = b"POST /v1/test/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
NO_BODY = HALF + b"Content-Length: 100\r\n\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("sent", [b"", HALF, NO_BODY], ids=["nothing", "half a header", "no body"])
def test_idle_connections_stop_neither_modules_nor_server(tmp_path: Path, sent: bytes) -> None:
    write_module(tmp_path / "modules", "Echo")
    server = ServerProcess(tmp_path, tmp_path / "modules", MILLRACE_BODY_TIMEOUT="0.5")
    server.descriptors = 100
    with server, contextlib.ExitStack() as opened:
        server.wait_ready("Echo")
        assert "Only 36 connections at a time" in "".join(server.output)
        process = server.post("/v1/test/echo", a="b")["pid"]
        for _ in range(3):
            for _ in range(150):
                idle = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                with contextlib.suppress(OSError):  # it may have been one too many
                    idle.sendall(sent)
            # A look at the modules folder, which found nothing when there were no descriptors left.
            (tmp_path / "modules" / "Echo" / "adapter.py").touch()

            def answered() -> bool:
                with contextlib.suppress(OSError, ValueError):
                    return bool(server.post("/v1/test/echo", a="b").get("pid") == process)
                return False

            wait_until("a client is answered by the same module process", answered)
        output = "".join(server.output)
        assert "was removed" not in output
        assert "Traceback" not in output
        assert "Too many open files" not in output
        assert server.module("Echo")["state"] in ("Ready", "Busy")
