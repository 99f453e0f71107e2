"""Real errors while looking: a process without descriptors left, and files that are there and cannot be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

_GIVES_EIO = Path("/proc/self/mem")
"""A regular file to the system; reading its beginning is an input/output error, for every user."""


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let every attempt of this process to open something fail; what is open goes on."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Let a file be there and give an error when it is read; what was in it comes back."""
    aside = path.with_name(f"{path.name}.aside")
    if path.exists():
        path.rename(aside)
    path.symlink_to(_GIVES_EIO)
    try:
        yield
    finally:
        path.unlink()
        if aside.exists():
            aside.rename(path)
