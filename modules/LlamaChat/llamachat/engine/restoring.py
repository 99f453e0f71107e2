"""Bringing stored prompt states back into the context, for chats that begin with what was computed before."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from typing import Protocol

from .prompt_cache import WORTH_IT, PromptCache
from .prompt_index import Found
from .sequence_state import State
from .sequences import Sequence
from .slot import Slot


class StateMemory(Protocol):
    """The part of the native context that takes copied states back."""

    def restore(self, sequence: int, state: State, length: int) -> bool:
        """Let a sequence be the first ``length`` tokens of a state; False when it cannot, and it is empty then."""


@dataclass
class _Restoration:
    slot: Slot
    sequence: Sequence
    path: list[Found]
    arrived: queue.SimpleQueue[tuple[State | None, int]] = field(default_factory=queue.SimpleQueue)


class Restorer:
    """The chats that wait for the disk. Only the engine's thread uses it, and it never waits itself.

    Such a chat has its place among the running ones and a sequence that is in use, but takes no part in the steps.
    """

    def __init__(self, cache: PromptCache, memory: StateMemory) -> None:
        self._cache = cache
        self._memory = memory
        self._waiting: dict[Slot, _Restoration] = {}

    def begin(self, slot: Slot, sequence: Sequence) -> bool:
        """Fetch what is stored of this chat's prompt if that is more than the sequence holds; else False."""
        path = self._cache.find(slot.tokens)
        if not path or path[-1].end < len(sequence.tokens) + WORTH_IT:
            return False
        self._waiting[slot] = restoration = _Restoration(slot, sequence, path)
        self._cache.load(path, lambda state, length: restoration.arrived.put((state, length)))
        return True

    def step(self) -> list[tuple[Slot, Sequence, int]]:
        """Put at most one chat's state into the context, so that the others do not wait long.

        Returns the chats that can start now, the sequence of each, and how many tokens came from the disk.
        """
        for restoration in self._waiting.values():
            try:
                state, length = restoration.arrived.get_nowait()
            except queue.Empty:
                continue
            del self._waiting[restoration.slot]
            return [(restoration.slot, restoration.sequence, self._restore(restoration, state, length))]
        return []

    def drop(self, slot: Slot) -> Sequence | None:
        """The chat does not wait any more; return the sequence it had, None when it did not wait here."""
        restoration = self._waiting.pop(slot, None)
        return None if restoration is None else restoration.sequence

    def _restore(self, restoration: _Restoration, state: State | None, length: int) -> int:
        sequence, held = restoration.sequence, len(restoration.sequence.tokens)
        if length <= held:  # some pieces were damaged, and what is left is no more than is there
            return 0
        if state is not None and self._memory.restore(sequence.id, state, length):
            sequence.tokens = restoration.slot.tokens[:length]
            return length - held
        self._cache.discard(restoration.path)  # they do not fit together, or llama.cpp does not understand them
        if state is not None:
            sequence.tokens = []
        return 0
