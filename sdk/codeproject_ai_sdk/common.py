"""Small helpers that modules use everywhere."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Union

from .texts import read_text

__all__ = [
    "JSON",
    "LongProcess",
    "ProcessOutcome",
    "check_installed_packages",
    "dump_tensors",
    "get_folder_size",
    "shorten",
    "timedelta_format",
]

JSON = dict[str, Any]
"""A JSON object."""

LongProcess = Callable[..., Any]
"""What ``process()`` returns to start a long command; called with the same request."""

ProcessOutcome = Union[JSON, LongProcess, Awaitable[Any], None]  # noqa: UP007  (evaluated on Python 3.10)
"""Everything ``process()`` may return; an ``async def process`` returns the awaitable."""


def timedelta_format(td: timedelta) -> str:
    """Return a duration as words, e.g. ``1 days, 2 hrs, 3 mins, 4 secs``; leading zero parts are left out."""
    total = int(td.total_seconds())
    parts = (
        (total // 86_400, "days"),
        (total // 3_600 % 24, "hrs"),
        (total // 60 % 60, "mins"),
        (total % 60, "secs"),
    )
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return ", ".join(shown) or "0 secs"


def get_folder_size(folder: str | Path) -> int:
    """Return the size in bytes of all files below a folder; files that cannot be read count as nothing."""
    total = 0
    for path in Path(folder).rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue
    return total


def shorten(text: str, max_length: int) -> str:
    """Return the text, its middle replaced by ``...`` when it is longer than ``max_length`` characters."""
    if len(text) <= max_length:
        return text
    if max_length <= 3:
        return text[: max(max_length, 0)]
    head = (max_length - 3 + 1) // 2
    tail = max_length - 3 - head
    return text[:head] + "..." + (text[-tail:] if tail else "")


def dump_tensors() -> None:
    """Print every PyTorch tensor that is alive, with its shape and device. Prints a note without PyTorch."""
    torch = sys.modules.get("torch")
    if torch is None:
        print("dump_tensors: PyTorch is not loaded")
        return
    import gc

    for thing in gc.get_objects():
        if torch.is_tensor(thing):
            print(type(thing).__name__, tuple(thing.shape), thing.device)


def check_installed_packages(requirements_path: str | Path, report: bool = False) -> list[str]:
    """Return the names in a requirements file that are not installed; ``report`` prints each of them."""
    missing = []
    for line in read_text(Path(requirements_path)).splitlines():
        name = _requirement_name(line)
        if name and not _is_installed(name):
            missing.append(name)
            if report:
                print(f"Package {name} is not installed")
    return missing


def _requirement_name(line: str) -> str:
    text = line.split("#", 1)[0].strip()
    if not text or text.startswith("-") or "://" in text.split("@", 1)[0]:
        return ""
    for index, character in enumerate(text):
        if not (character.isalnum() or character in "-_."):
            return text[:index]
    return text


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
