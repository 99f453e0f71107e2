"""Which command the module's code works on, wherever it calls the server from. No I/O.

The server takes such a call for one of the command's owner. ``sitecustomize``, which puts the proof of this process on
each request to the server, asks here; a thread that the module has started itself works on none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("millrace_command_id", default="")


def command_id() -> str:
    """Return the id of the command; empty outside of any."""
    return _current.get()


@contextlib.contextmanager
def working_on(command_id: str) -> Iterator[None]:
    """Work on a command inside the block, also in the coroutines that are begun there."""
    token = _current.set(command_id)
    try:
        yield
    finally:
        _current.reset(token)
