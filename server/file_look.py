"""Looking at files where an error while looking must not be taken for absence. Everything here blocks.

A folder on a drive that is away for a moment, or a server without descriptors left, says nothing about what is there.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR", "EBUSY"),
        *("EIO", "ESTALE", "ENODEV", "ENXIO", "ENOTCONN", "ETIMEDOUT"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNRESET", "ECONNABORTED"),
    )
    if hasattr(errno, name)
)
"""The machine is short of something, or a drive is away."""


def may_pass(error: OSError) -> bool:
    """Whether an error says nothing of the file itself, so that trying again may help."""
    return error.errno in _PASSING


def stat_if_there(path: str | Path) -> os.stat_result | None:
    """Return what the system knows of a file; ``None`` when there is none. Raises ``OSError`` when nobody can tell."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def is_file(path: Path) -> bool:
    """Whether there is such a file. Raises ``OSError`` when nobody can tell: ``Path.is_file`` would say no."""
    found = stat_if_there(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def read_if_there(path: Path) -> bytes | None:
    """Return what is in a file; ``None`` when there is none. Raises ``OSError`` when it is there and cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def why(error: OSError) -> str:
    """Return an error in words, without the number and the path."""
    return error.strerror or str(error)
