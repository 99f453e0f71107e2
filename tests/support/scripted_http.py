"""An HTTP server on this machine whose answers a test decides, one by one."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Answer = Callable[[str, dict[str, str]], "dict[str, Any] | bytes"]
"""(path, form fields) → JSON object, or raw bytes."""


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Serve ``answer`` on a free port inside the block; yields the address without a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            value = answer(self.path, {name: values[0] for name, values in parse_qs(text).items()})
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            failed = isinstance(value, dict) and value.get("success") is False
            self.send_response(500 if failed else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
