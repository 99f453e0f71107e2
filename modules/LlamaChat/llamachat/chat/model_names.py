"""What the names of model files tell: which are models, which belong together, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch

from llamachat.engine.errors import ModelUnavailableError

PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")
"""Which quantisation to take when nobody named one: small enough for most machines, and good."""

_PART = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)$", re.IGNORECASE)


def is_model(name: str) -> bool:
    """Whether a file of this name is a model, or a part of one. ``mmproj`` files hold only the eyes of one."""
    base = name.rpartition("/")[2].lower()
    return base.endswith(".gguf") and not base.startswith("mmproj") and not base.endswith("mmproj.gguf")


def is_later_part(name: str) -> bool:
    """Whether it is a part of a split model, and not the first."""
    return _number(name) not in (None, 1)


def parts_of(name: str) -> list[str]:
    """Return the names of all parts of a split model in order, whichever part is named; or just the name."""
    match = _PART.match(name)
    if match is None:
        return [name]
    count = int(match["count"])
    return [f"{match['stem']}-{number:05}-of-{match['count']}{match['end']}" for number in range(1, count + 1)]


def matches(name: str, pattern: str) -> bool:
    """Whether a file of a repository matches a pattern, by its whole path or by its last part."""
    return fnmatch(name, pattern) or fnmatch(name.rpartition("/")[2], pattern)


def select(repo_id: str, names: Sequence[str], filename: str, fileglob: str) -> str:
    """Return the model of a repository that is meant: the named one, else the preferred one that matches.

    Raises ``ModelUnavailableError`` when there is none, or when nobody can tell which.
    """
    if filename:
        found = [name for name in names if filename in (name, name.rpartition("/")[2])]
        if found:
            return found[0]
        if not fileglob:
            raise ModelUnavailableError(f"The repository {repo_id} has no file {filename}. It has: {listed(names)}.")
    candidates = [name for name in names if matches(name, fileglob)] if fileglob else list(names)
    if not candidates:
        raise ModelUnavailableError(f"No file of the repository {repo_id} matches {fileglob}. It has: {listed(names)}.")
    firsts = [name for name in candidates if not is_later_part(name)]
    for quantisation in PREFERRED:
        for name in firsts:
            if quantisation.lower() in name.lower():
                return name
    if len(firsts) == 1:
        return firsts[0]
    raise ModelUnavailableError(
        f"The repository {repo_id} has several models; name one, as in {repo_id}:{(firsts or candidates)[0]}. "
        f"It has: {listed(names)}."
    )


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence, the first twenty of them."""
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _number(name: str) -> int | None:
    match = _PART.match(name)
    return int(match["number"]) if match else None
