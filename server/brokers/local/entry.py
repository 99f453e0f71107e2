"""One command with everything that belongs to it, as the local broker keeps it in memory."""

from __future__ import annotations

import asyncio
import sys

from ...commands.command import Command, Payload
from ...commands.reply_buffer import Event, ReplyBuffer
from .waiting import Waiting


class Entry:
    """A command, its payload and its reply buffer, and how far they are on disk."""

    def __init__(self, command: Command, payload: Payload, buffer: ReplyBuffer) -> None:
        self.command = command
        self.next: Command | None = None
        """The record after a transition that is still being written to disk."""
        self.change: asyncio.Task[object] | None = None
        """The last change that had to wait for the disk."""
        self.payload = payload
        self.payload_bytes = _bytes_of(payload)
        """What it takes of the memory."""
        self.buffer = buffer
        self.unwritten: list[Event] = []
        """Events of a long command that are not in the store yet."""
        self.version = 0
        """Counts the changes of a long command's record; see ``saved``."""
        self.saved = 0
        """The version that is in the store."""
        self.payload_stored = False
        self.chunks = 0
        """How many batches of events the store has."""
        self.stored_seq = 0
        """The number of the last event that the store has."""
        self.changed = Waiting()
        self.passed = Waiting()
        """For who waits for a milestone only: most events of a buffer are none."""

    def take_payload(self) -> Payload:
        """Return the payload of a command that has ended, and forget it here."""
        payload, self.payload, self.payload_bytes = self.payload, Payload(), 0
        return payload

    @property
    def changing(self) -> bool:
        """Whether a change is on its way to disk; until it is there, no other one begins."""
        return self.change is not None and not self.change.done()

    @property
    def unsaved(self) -> bool:
        """Whether the record in the store is behind this one."""
        return self.version > self.saved

    @property
    def latest(self) -> Command:
        """The record with the transition that is under way."""
        return self.next or self.command


def _bytes_of(payload: Payload) -> int:
    """Count texts as Python keeps them: one emoji makes every character of its text four bytes."""
    texts = sum(sys.getsizeof(text) for item in payload.values for text in item.value)
    return texts + sum(len(file.data or b"") for file in payload.files)
