"""Modules that report progress through ``command_status()`` instead of writing into their reply.

While such a long command runs, ``command_status()`` is asked a few times a second and what is new in it goes
into the command's reply, so that every view of the command shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .answers import encode_value
from .reply import Reply

INTERVAL = 0.2
"""Seconds between two questions."""


class StatusFollower:
    """Copies one command's ``command_status()`` into its reply while the command runs."""

    def __init__(
        self, ask: Callable[[], Any], reply: Reply, ended: Callable[[], bool], report: Callable[[Exception], None]
    ) -> None:
        """``ask`` calls the module, ``ended`` tells when to stop, ``report`` is told of the module's mistakes."""
        self._ask = ask
        self._reply = reply
        self._ended = ended
        self._report = report
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._shown: dict[str, bytes] = {}
        self._failed = False
        self._thread = threading.Thread(target=self._follow, name="millrace-command-status", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def finish(self, output: dict[str, Any] | None) -> None:
        """Stop asking; bring the reply's text up to that of the final answer."""
        self._stop.set()
        self._thread.join(1.0)  # not for ever: the module may hang in command_status()
        if isinstance(output, dict) and isinstance(output.get("reply"), str):
            self._copy({"reply": output["reply"]})

    def _follow(self) -> None:
        while not self._stop.wait(INTERVAL) and not self._ended():
            try:
                status = self._ask()
                if isinstance(status, dict) and not self._stop.is_set() and not self._ended():
                    self._copy(status)
            except Exception as error:
                self._report_once(error)

    def _copy(self, status: dict[str, Any]) -> None:
        with self._lock:
            fields = {}
            for name, value in status.items():
                if name == "reply" and isinstance(value, str) and self._grow(value):
                    continue
                if self._is_new(name, value):
                    fields[name] = value
            self._reply.update(**fields)

    def _is_new(self, name: str, value: Any) -> bool:
        try:
            # As JSON, because a module may hand out the same list every time and only append to it.
            encoded = bytes(encode_value(name, value))
        except TypeError as error:
            self._report_once(error)
            return False
        if self._shown.get(name) == encoded:
            return False
        self._shown[name] = encoded
        return True

    def _grow(self, text: str) -> bool:
        """Append what is new; False when the module has rewritten its text, which then travels as a field."""
        if "reply" in self._shown:
            return False
        so_far = self._reply.text
        if not text.startswith(so_far):
            return False
        self._reply.write(text[len(so_far) :])
        return True

    def _report_once(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._report(error)
