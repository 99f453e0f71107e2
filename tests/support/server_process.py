"""A real server process for tests: started, called, killed and restarted like a user's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def wait_until(what: str, probe: Callable[[], T | None], seconds: float = 100.0) -> T:
    """Call ``probe`` until it returns something true; fail, naming ``what``, when it never does."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.02)


class ServerProcess:
    """``python -m server`` with folders of its own. Use as a context manager."""

    def __init__(self, folder: Path, modules: Path, port: int = 0, **environment: str) -> None:
        self.folder = folder
        self.modules = modules
        self.port = port
        self.environment = environment
        self.descriptors: int | None = None
        """How many files the server and its modules may have open; ``None``: as many as the system says."""
        self.root = ROOT
        """Whose server it is: another checkout needs a ``.venv`` of its own."""
        self.output: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> ServerProcess:
        try:
            self.start()
        except BaseException:
            self.kill()  # nobody else would
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base address, like ``http://127.0.0.1:40123``."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it listens. A restart keeps the port."""
        python = sys.executable if self.root == ROOT else str(self.root / ".venv" / "bin" / "python")
        command = [python, "-m", "server", "--port", str(self.port)]
        command += ["--data-dir", str(self.folder / "data"), "--modules-dir", str(self.modules)]
        if self.descriptors is not None:
            command = ["bash", "-c", f'ulimit -n {self.descriptors} && exec "$@"', "bash", *command]
        shared = {"MILLRACE_ENVIRONMENTS_DIR": str(ROOT / "data" / "environments")}
        environment = {**os.environ, **shared, **self.environment}
        self.output = []
        self.process = subprocess.Popen(
            command, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        self.port = wait_until("the server listens", self._listening)

    def stop(self) -> int:
        """Ask the server to stop, as Ctrl-C does, and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server process, and nothing else."""
        self._end(signal.SIGKILL)

    def call(
        self,
        path: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request (a POST when there is data); return status, body and headers."""
        request = urllib.request.Request(self.url + path, data=data, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    def get(self, path: str) -> Any:
        """Return the JSON that a GET answers."""
        return json.loads(self.call(path)[1])

    def post(self, path: str, **values: Any) -> Any:
        """POST a multipart form, as curl -F does, and return the JSON of the answer."""
        boundary = uuid.uuid4().hex
        parts = []
        for name, value in values.items():
            is_file = isinstance(value, bytes)
            filename = f'; filename="{name}"' if is_file else ""
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
            parts.append(head.encode() + (value if is_file else str(value).encode()) + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return json.loads(self.call(path, body, headers)[1])

    def module(self, module_id: str) -> dict[str, Any]:
        """Return the module's entry of the status list, or an empty object."""
        statuses = self.get("/v1/module/list/status").get("statuses") or []
        return next((entry for entry in statuses if entry["moduleId"] == module_id), {})

    def wait_state(self, module_id: str, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until the module is in one of the states, and return its entry."""

        def reached() -> dict[str, Any] | None:
            entry = self.module(module_id)
            return entry if entry.get("state") in states else None

        try:
            return wait_until(f"{module_id} is {' or '.join(states)}", reached, seconds)
        except AssertionError as error:
            tail = "".join(self.output[-40:])
            raise AssertionError(f"{error}; it is {self.module(module_id).get('state')}\n{tail}") from None

    def wait_ready(self, module_id: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the module has answered a real command."""
        return self.wait_state(module_id, "Ready", "Busy", seconds=seconds)

    def poll(self, module_id: str, command_id: str) -> dict[str, Any]:
        """Ask for the status of a long command, in the compatible form."""
        answer: dict[str, Any] = self.post(f"/v1/{module_id}/get_command_status", commandId=command_id)
        return answer

    def wait_ended(self, module_id: str, command_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """Poll until the command has ended, and return the last answer."""

        def ended() -> dict[str, Any] | None:
            answer = self.poll(module_id, command_id)
            return answer if answer["commandStatus"] != "running" else None

        return wait_until(f"command {command_id} ends", ended, seconds)

    def _listening(self) -> int | None:
        found = re.search(r"listens on http://[^ ]*:(\d+)", "".join(self.output))
        if found:
            return int(found.group(1))
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {''.join(self.output)}")
        return None

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of the server process, and return its exit status."""
        assert self.process is not None
        status = self.process.wait(60)
        if self._reader is not None:
            self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.output.extend(process.stdout)


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Run a server with the repository's own modules; yield its address when LlamaChat answers."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder), ROOT / "modules") as server:
        server.wait_ready("LlamaChat", 600)
        yield server.url
