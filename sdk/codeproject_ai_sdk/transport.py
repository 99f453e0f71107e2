"""The inner interface between what runs commands and what talks to the server.

Two parts speak it: ``channel.py`` (one WebSocket) and ``queue_client.py`` (long polls over HTTP).
"""

from __future__ import annotations

from typing import Protocol

from .common import JSON
from .protocol import Log
from .request_data import RequestData


class Handler(Protocol):
    """What a transport tells the module's host. Called on the I/O thread: nothing here may block."""

    def welcomed(self) -> None:
        """The server is there. May be called again after every reconnect."""

    def command(self, data: RequestData) -> None:
        """A command has come; its ``data.reply`` is connected already."""

    def cancel(self, command_id: str) -> bool:
        """Stop a command; False when there is none of that id."""

    def drop(self, command_id: str) -> None:
        """Stop a command that nobody waits for any more; its answer is not wanted."""

    def trouble(self, text: str) -> None:
        """Something about the connection went wrong; the transport goes on."""

    def leave(self, reason: str, code: int) -> None:
        """The process should clean up and exit with this code."""


class Transport(Protocol):
    """What the module's host tells a transport. Callable from any thread, never blocking except ``close``."""

    keeps_results: bool
    """True when polls for a long command's state come to the module, so that it must keep the results."""

    marks_unfinished: bool
    """True when the server learns from ``finish`` that an answer is not a whole one; else it has to be a failure."""

    @property
    def longest_answer(self) -> int:
        """Bytes of an answer that the server takes."""

    def open(self, handler: Handler) -> None:
        """Start talking to the server, in the background."""

    def ready(self, parallelism: int, long_parallelism: int, obstacle: str = "", passing: bool = False) -> None:
        """The module is initialised: commands may come. Called again when ``obstacle`` has changed.

        ``obstacle`` is why it cannot do its work yet, empty when it can; ``passing``: that will end by itself.
        """

    def started(self, command_id: str, command: str, device: str) -> None:
        """A command has turned out to be a long one."""

    def finish(self, command_id: str, answer: JSON, encoded: bytes, unfinished: bool) -> None:
        """Send a command's complete answer; ``encoded`` is the same as JSON.

        ``unfinished``: it is only what there was when this process decided to leave.
        """

    def status(self, encoded: bytes) -> None:
        """Send the module's status, a JSON object."""

    def log(self, entry: Log) -> bool:
        """Send a log entry; False when it cannot be taken."""

    def close(self, seconds: float) -> None:
        """Send what still waits, for at most that long, and end the connection."""
