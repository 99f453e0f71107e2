"""Where things are in a checkout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

WINDOWS = os.name == "nt"


def interpreter_of(environment: Path) -> Path:
    """Path of the Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if WINDOWS else "bin/python")


@dataclass(frozen=True)
class Layout:
    """The folders the installer reads and writes."""

    root: Path
    data: Path

    @classmethod
    def of(cls, root: Path) -> Layout:
        """Layout of the checkout at ``root``; ``MILLRACE_DATA_DIR`` moves the data folder."""
        return cls(root=root, data=Path(os.environ.get("MILLRACE_DATA_DIR") or root / "data").absolute())

    @property
    def environment(self) -> Path:
        """The server's virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The server's Python."""
        return interpreter_of(self.environment)

    @property
    def logs(self) -> Path:
        """Where the installer's logs go."""
        return self.data / "logs"

    def tool(self, name: str) -> Path:
        """A program installed in the server's environment."""
        return self.python.with_name(f"{name}.exe" if WINDOWS else name)

    def module_environment(self, module_id: str) -> Path:
        """The environment of a module that has one of its own, unless settings have moved them."""
        return self.data / "environments" / module_id
