"""The program of one module on disk, compared with the one that runs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..settings.module_settings import ModuleSettings
from .code_files import Code, code_folders, read_code
from .code_watch import CodeWatch


class Program:
    """Reads a module's files when it is installed, started and looked at. What cannot be read is as it was.

    ``module`` returns its settings, as far as they are in order.
    """

    def __init__(self, module: Callable[[], ModuleSettings | None]) -> None:
        self._module = module
        self._watch = CodeWatch(time.time)
        self.folders: list[str] = []
        """The folders below its own with more of it."""
        self.runs_since: float | None = None
        """When the process began that is about to be taken over; ``None``: a new one will be started."""

    @property
    def folder(self) -> Path | None:
        """Where it is."""
        module = self._module()
        return module.path if module is not None else None

    def read(self) -> Code:
        """Return the files as they are now. Blocks."""
        module = self._module()
        if module is None:
            return self._watch.known
        try:
            code = read_code(module.path, module.launch_settings.file_path, self._watch.known)
        except OSError:
            return self._watch.known
        self.folders = [os.path.join(module.folder, name) for name in code_folders(code) if name]
        return code

    async def installing(self) -> None:
        """The module is about to be installed."""
        self._watch.installing(await asyncio.to_thread(self.read))

    async def starting(self) -> None:
        """A process of the module is about to be started."""
        since, self.runs_since = self.runs_since, None
        self._watch.starting(await asyncio.to_thread(self.read), since)

    def started(self) -> None:
        """Its start is over, well or not."""
        self._watch.started()

    def see(self, code: Code) -> bool:
        """Take in what was read; true when it has just become certain that the files are others."""
        return self._watch.see(code)

    def is_worth_a_start(self) -> bool:
        """Whether to start the module anew for this change."""
        return self._watch.is_worth_a_start()

    @property
    def settled(self) -> bool:
        """Whether nothing is in the middle of being written."""
        return self._watch.settled

    @property
    def changed(self) -> list[str]:
        """The files that are not what they were when the process was started."""
        return list(self._watch.changed)

    @property
    def note(self) -> str:
        """What to tell people of it; empty when nothing has changed."""
        return self._watch.note
