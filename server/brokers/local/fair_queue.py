"""One waiting line: first in, first out per owner, round robin between owners, so that nobody starves."""

from __future__ import annotations

from collections import OrderedDict, deque


class FairQueue:
    """Command ids by owner. All operations are constant time but ``position``, which counts owners."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, deque[str]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, owner: str, command_id: str) -> None:
        """Add a command behind its owner's others."""
        self._owners.setdefault(owner, deque()).append(command_id)
        self._length += 1

    def put_front(self, owner: str, command_id: str) -> None:
        """Put a command that was taken back to the very front."""
        self._owners.setdefault(owner, deque()).appendleft(command_id)
        self._owners.move_to_end(owner, last=False)
        self._length += 1

    def take(self) -> str | None:
        """Remove and return the next command; its owner goes to the end of the round."""
        if not self._owners:
            return None
        owner, line = next(iter(self._owners.items()))
        command_id = line.popleft()
        self._length -= 1
        del self._owners[owner]
        if line:
            self._owners[owner] = line
        return command_id

    def remove(self, owner: str, command_id: str) -> bool:
        """Take a command out of the line, wherever it stands; false when it is not there."""
        line = self._owners.get(owner)
        if line is None or command_id not in line:
            return False
        line.remove(command_id)
        self._length -= 1
        if not line:
            del self._owners[owner]
        return True

    def position(self, owner: str, command_id: str) -> int | None:
        """Return how many commands are served before this one, if nobody else comes."""
        line = self._owners.get(owner)
        if line is None or command_id not in line:
            return None
        index = line.index(command_id)
        ahead, before_own_turn = index, True
        for other, others in self._owners.items():
            if other == owner:
                before_own_turn = False
                continue
            ahead += min(len(others), index + 1 if before_own_turn else index)
        return ahead
