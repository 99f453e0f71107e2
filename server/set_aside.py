"""Setting aside what cannot be read: it keeps nobody from starting, and whoever wants it finds it. Blocks."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec

DAMAGED_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON one looks for: any of them may be in a damaged file."""
MARK = ".damaged"


def set_aside(path: Path) -> Path:
    """Give a file or folder the first free name beside it that says so; return it. Raises ``OSError``."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}{MARK}-{number}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError("numbers do not end")


def only_file(path: Path) -> str:
    """Set aside what stands where a file should be; return that in words, empty when there was nothing."""
    if not path.exists() or path.is_file():
        return ""
    return f"{path} should be a file; what was there is now {set_aside(path).name}."


def only_folder(path: Path) -> str:
    """Set aside what stands where a folder should be; return that in words, empty when there was nothing."""
    if not path.exists() or path.is_dir():
        return ""
    return f"{path} should be a folder; what was there is now {set_aside(path).name}."
