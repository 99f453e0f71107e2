"""Version numbers of modules and servers, in the order the module ecosystem uses."""

from __future__ import annotations

import re

_VERSION = re.compile(r"^\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+(\d+))?\s*$")
_DIGITS_OR_TEXT = re.compile(r"\d+|[^\d.-]+")

VersionKey = tuple[int, int, int, int, int, tuple[tuple[int, int, str], ...]]


def version_key(text: str) -> VersionKey | None:
    """Return a sortable key for ``2.5.0-RC6+1``; ``None`` when the text is not a version.

    The order is major, minor, patch, build, and last the pre-release, which comes before no pre-release.
    """
    match = _VERSION.match(text)
    if match is None:
        return None
    major, minor, patch, pre_release, build = match.groups()
    parts = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in _DIGITS_OR_TEXT.findall(pre_release or "")
    )
    return int(major), int(minor or 0), int(patch or 0), int(build or 0), 0 if pre_release else 1, parts


def in_range(version: str, limits: list[str]) -> bool:
    """Whether a version lies in ``[lowest, highest]``, both included. Empty or missing limits are open."""
    key = version_key(version)
    if key is None:
        return True
    lowest = version_key(limits[0]) if len(limits) > 0 else None
    highest = version_key(limits[1]) if len(limits) > 1 else None
    return (lowest is None or key >= lowest) and (highest is None or key <= highest)
