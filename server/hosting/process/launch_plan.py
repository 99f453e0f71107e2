"""How the process of a module is started: the command and the folder. Blocks, because it looks for files."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import msgspec

from ..settings.macros import Macros
from ..settings.module_settings import ModuleSettings


class LaunchError(Exception):
    """The module cannot be started at all; the text says what is missing. Trying again will not help."""


class LaunchPlan(msgspec.Struct, frozen=True):
    """A command with its folder. ``variables``: what its environment needs besides the module's own."""

    command: list[str]
    folder: Path
    variables: dict[str, str] = {}


def launch_plan(
    module: ModuleSettings, macros: Macros, python: Path | None, variables: dict[str, str] | None = None
) -> LaunchPlan:
    """Return how to start the module. Its only argument is the absolute start file. Raises ``LaunchError``."""
    start_file = module.path / module.launch_settings.file_path.replace("\\", "/")
    if not start_file.is_file():
        raise LaunchError(
            f'The start file {start_file} does not exist. Check "LaunchSettings.FilePath" in its modulesettings.json'
            f"{_programs(module.path)}."
        )
    command = [*_interpreter(module, macros, python, start_file), str(start_file)]
    return LaunchPlan(command, module.path, variables or {})


def _programs(folder: Path) -> str:
    """Name the programs that are in a folder."""
    names = sorted(path.name for path in folder.glob("*.py"))[:5]
    return f" (the folder has {', '.join(names)})" if names else ""


def _interpreter(module: ModuleSettings, macros: Macros, python: Path | None, start_file: Path) -> list[str]:
    launch = module.launch_settings
    if launch.command:
        return _command(macros.expand(launch.command), module.path)
    runtime = launch.runtime.lower()
    if python is not None:
        return [str(python)]
    if runtime in ("execute", "launcher"):
        if os.name != "nt" and not os.access(start_file, os.X_OK):
            raise LaunchError(f"The start file {start_file} is not executable. Run: chmod +x {start_file}")
        return []
    if runtime.startswith("dotnet"):
        return _command("dotnet", module.path)
    raise LaunchError(f"The runtime '{launch.runtime}' is not known. Write it like python3.11, dotnet or execute.")


def _command(text: str, folder: Path) -> list[str]:
    """A command is one existing file, spaces and all, or a program with arguments."""
    words = [text] if Path(text).is_file() else shlex.split(text, posix=os.name != "nt")
    program = shutil.which(words[0], path=os.environ.get("PATH")) or shutil.which(str(folder / words[0]))
    if program is None:
        raise LaunchError(f"The program {words[0]} was not found. Install it, or change LaunchSettings.")
    return [program, *words[1:]]
