"""Who a request comes from, and how that is known."""

from __future__ import annotations

import enum

import msgspec


class Way(enum.Enum):
    """How a caller is known."""

    KEY = "key"
    """A key in a header."""
    FORM = "form"
    """A key in the query, or in the form of a call to a module."""
    SESSION = "session"
    """A page that has logged in."""
    PROCESS = "process"
    """A module process, on behalf of the owner of the command that it works on."""
    ADDRESS = "address"
    """An address that needs no key."""
    LOCAL = "local"
    """A program on this machine, where there are no keys."""
    UNKNOWN = "unknown"


class Caller(msgspec.Struct, frozen=True):
    """``owner`` is ``None`` when nobody knows who it is. ``wait``: seconds for which its key is not looked at."""

    owner: str | None
    way: Way
    administrator: bool = False
    wait: float = 0.0


NOBODY = Caller(None, Way.UNKNOWN)
