"""Following folders: a look at them whenever the system tells of a change, and now and then without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from watchfiles import awatch

LOOK_MS = 2000
"""Without any notice from the file system, the folders are still looked at this often."""
RETRY_SECONDS = 0.5


class FolderWatch:
    """Watches the folders that ``folders`` returns (it may block) and calls ``look`` with the paths that were told.

    ``failed`` is told why they cannot be watched, once for each reason; they are still looked at then.
    """

    def __init__(
        self,
        folders: Callable[[], list[Path]],
        look: Callable[[set[Path]], Awaitable[None]],
        failed: Callable[[str], None],
    ) -> None:
        self._folders = folders
        self._look = look
        self._failed = failed

    async def run(self) -> None:
        """Follow the folders for ever."""
        said = ""
        while True:
            try:
                await self._follow()
                said = ""
                continue
            except FileNotFoundError:
                pause = RETRY_SECONDS  # a folder went away between looking and watching
            except Exception as error:
                pause = LOOK_MS / 1000
                failure = f"Watching the modules folder failed: {type(error).__name__}: {error}"
                if failure != said:
                    self._failed(failure)
                said = failure
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        """Look whenever something changes; return when there are other folders to watch."""
        await self._look(set())
        folders = await asyncio.to_thread(self._folders)
        async for changes in awatch(
            *folders,
            watch_filter=None,
            recursive=False,
            debounce=400,
            step=200,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
        ):
            await self._look({Path(path) for _, path in changes})
            if await asyncio.to_thread(self._folders) != folders:
                return
