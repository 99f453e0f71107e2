"""What one client saw of one counting command, judged event by event against the only right text. No I/O."""

from __future__ import annotations

from typing import Any

FINAL = ("result", "error", "cancelled")


class Follower:
    """Takes the events of one command in the order they arrive, over any number of connections.

    ``name`` begins every word that this command writes, and no other command's.
    """

    def __init__(self, name: str, to: int) -> None:
        self.name = name
        self.expected = "".join(f"{name}{number} " for number in range(1, to + 1))
        self.text = ""
        self.last_seq = 0
        self.deliveries = 0
        self.end: str | None = None
        self.received = self.lost = self.duplicated = self.foreign = 0
        self.faults: list[str] = []
        self._kept: dict[int, tuple[str, str]] = {}

    def take(self, seq: int, kind: str, data: dict[str, Any]) -> None:
        """Judge one event."""
        self.received += 1
        if seq <= self.last_seq:
            self._fault("duplicated", f"event {seq} ({kind}) came after {self.last_seq}")
            return
        if seq > self.last_seq + 1:
            self._fault("lost", f"event {seq} ({kind}) came after {self.last_seq}", seq - self.last_seq - 1)
        self.last_seq = seq
        self._kept[seq] = (kind, str(data.get("text", "")))
        if self.end is not None:
            self._fault("duplicated", f"event {seq} ({kind}) came after the end ({self.end})")
        if kind == "started":
            self.deliveries += 1
            self.text = ""
        elif kind == "delta":
            self.text += data["text"]
            self.judge(self.text, "the stream")
        elif kind in FINAL:
            self.end = kind
            if kind == "result" and self.text != self.expected:
                self._fault("lost", f"completed with {self.text[-40:]!r} at the end of the text")

    def judge(self, text: str, where: str) -> None:
        """Any text shown for this command must be the beginning of the right one."""
        if self.expected.startswith(text):
            return
        words = text.split()
        if any(not word.startswith(self.name) for word in words[:-1]):
            self._fault("foreign", f"{where} shows {text[-80:]!r}")
        elif len(words) != len(set(words)):
            self._fault("duplicated", f"{where} shows {text[-80:]!r}")
        else:
            self._fault("lost", f"{where} shows {text[-80:]!r}")

    def compare(self, events: list[dict[str, Any]]) -> None:
        """The events that the server keeps must be those that were seen, with the same numbers."""
        kept = {int(event["seq"]): (event["event"], str(event["data"].get("text", ""))) for event in events}
        for seq, seen in self._kept.items():
            if kept.get(seq) != seen:
                self._fault("lost", f"event {seq} was {seen} when it was seen, and is {kept.get(seq)} now")

    def _fault(self, sort: str, text: str, count: int = 1) -> None:
        setattr(self, sort, getattr(self, sort) + count)
        self.faults.append(f"{self.name} {sort}: {text}")
