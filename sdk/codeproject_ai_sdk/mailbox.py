"""What waits to be sent over the channel, of all commands and of the module itself. No I/O."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from .outbox import Outbox
from .protocol import Log, Status, ToServer

MAX_LOGS = 1024
"""Log entries kept while nobody takes them; later ones are counted and dropped."""


class Mailbox:
    """Collects messages from any thread for the one that sends. Nothing here blocks."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """``wake`` is called when there is something to take after there was nothing."""
        self._wake = wake
        self._lock = threading.Lock()
        self._control: deque[ToServer] = deque()
        self._outboxes: deque[Outbox] = deque()
        self._logs: deque[Log] = deque()
        self._dropped_logs = 0
        self._status: Status | None = None
        self._awake = False

    def post(self, message: ToServer) -> None:
        """Send a message before any command's data."""
        with self._lock:
            self._control.append(message)
            wake = self._set_awake()
        if wake:
            self._wake()

    def mark(self, outbox: Outbox) -> None:
        """Send what is new in this outbox."""
        with self._lock:
            self._outboxes.append(outbox)
            wake = self._set_awake()
        if wake:
            self._wake()

    def log(self, entry: Log) -> bool:
        """Send a log entry; False when too many wait already."""
        with self._lock:
            if len(self._logs) >= MAX_LOGS:
                self._dropped_logs += 1
                return False
            self._logs.append(entry)
            wake = self._set_awake()
        if wake:
            self._wake()
        return True

    def status(self, status: Status) -> None:
        """Send the module's status; a later one replaces one that still waits."""
        with self._lock:
            self._status = status
            wake = self._set_awake()
        if wake:
            self._wake()

    def take(self) -> list[ToServer]:
        """Return everything to send now, most urgent first: control, data, status, logs."""
        with self._lock:
            self._awake = False
            messages = list(self._control)
            self._control.clear()
            outboxes = list(self._outboxes)
            self._outboxes.clear()
        for outbox in outboxes:
            messages.extend(outbox.take())
        messages.extend(self._take_rest())
        return messages

    def restart(self) -> None:
        """A new connection begins: forget what made sense only on the old one."""
        with self._lock:
            self._control.clear()
            self._status = None
            self._awake = False

    def unsent_logs(self) -> list[Log]:
        """Take out the log entries alone, at the end, when there is no connection to send them over."""
        with self._lock:
            logs = list(self._logs)
            self._logs.clear()
            return logs

    @property
    def empty(self) -> bool:
        """True when nothing waits."""
        with self._lock:
            return not (self._control or self._outboxes or self._logs or self._status)

    def _take_rest(self) -> list[ToServer]:
        rest: list[ToServer] = []
        with self._lock:
            if self._status is not None:
                rest.append(self._status)
                self._status = None
            rest.extend(self._logs)
            self._logs.clear()
            if self._dropped_logs:
                rest.append(Log(f"{self._dropped_logs} log entries were dropped", level="warning"))
                self._dropped_logs = 0
        return rest

    def _set_awake(self) -> bool:
        wake = not self._awake
        self._awake = True
        return wake
