"""Whether an index of prebuilt wheels, named in a requirements file, can be reached from here."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

_INDEX = re.compile(r"^\s*--extra-index-url[\s=]+(\S+)", re.MULTILINE)


def indexes_named_in(requirements: Iterable[Path]) -> list[str]:
    """The distinct ``--extra-index-url`` values of some requirements files, in order."""
    return list(dict.fromkeys(url for file in requirements for url in _INDEX.findall(file.read_text("utf-8-sig"))))


def reachable(indexes: Iterable[str], patience: float = 4.0) -> bool:
    """Whether one of the indexes answers within ``patience`` seconds each."""
    return any(_answers(url, patience) for url in indexes)


def _answers(url: str, patience: float) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=patience):
            return True
    except (OSError, ValueError, urllib.error.URLError):
        return False
