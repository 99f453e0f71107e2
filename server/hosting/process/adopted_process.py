"""A module process that an earlier server started and that outlived it: not our child, but ours to look after."""

from __future__ import annotations

import asyncio
import contextlib

from .process_tree import ProcessIdentity, descendants, end_family, is_alive, signal_group

_LOOK_SECONDS = 0.25
_KILLED_SECONDS = 10.0


class AdoptedProcess:
    """Behaves as ``ChildProcess`` does, but its output and its exit code are lost."""

    exit_code: int | None = None

    def __init__(self, identity: ProcessIdentity, launch_id: str) -> None:
        self._identity = identity
        self._launch_id = launch_id
        self._ended = False
        self.pid = identity.pid

    @property
    def running(self) -> bool:
        """Whether the process had not ended when it was last looked at."""
        return not self._ended

    async def wait(self) -> int:
        """Wait for its end; how it ended cannot be known."""
        while not self._ended:
            self._ended = await asyncio.to_thread(self._has_ended)
            await asyncio.sleep(0 if self._ended else _LOOK_SECONDS)
        return -1

    async def wait_for(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for its end; whether it has ended."""
        try:
            await asyncio.wait_for(self.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def stop(self, patience: float) -> None:
        """End the process and all it started, as ``ChildProcess.stop`` does."""
        family = await asyncio.to_thread(descendants, self.pid, self._launch_id)
        if not await self.wait_for(0.01):
            signal_group(self.pid, kill=False)
            await self.wait_for(patience)
        self.kill_now()
        await asyncio.to_thread(end_family, self.pid, family, self._launch_id)
        await self.wait_for(_KILLED_SECONDS)

    def kill_now(self) -> None:
        """Kill the process group at once, unless it is known to have ended: its number may be another's by now."""
        with contextlib.suppress(OSError):
            if not self._ended and is_alive(self._identity):
                signal_group(self.pid, kill=True)

    def _has_ended(self) -> bool:
        """Whether it is known to have ended: an error while looking is not its end."""
        try:
            return not is_alive(self._identity)
        except OSError:
            return False
