"""File descriptors: connections may not take those that modules, records and logs need."""

from __future__ import annotations

import contextlib
import sys

KEPT_BACK = 1024
"""So many are kept for everything that is no connection, where the system gives enough."""
_LEAST_KEPT_BACK = 64
_LEAST_CONNECTIONS = 16


def room_for_connections(wanted: int) -> int:
    """Let this process open as many files as it needs and may; return how many connections that leaves room for."""
    if sys.platform == "win32":
        return wanted  # its limit is far above anything here
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + KEPT_BACK
    if _less(soft, needed, resource.RLIM_INFINITY):
        allowed = hard if _less(hard, needed, resource.RLIM_INFINITY) else needed
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else connections_within(soft, wanted)


def connections_within(descriptors: int, wanted: int) -> int:
    """Return how many of the wanted connections so many descriptors allow."""
    kept = min(KEPT_BACK, max(_LEAST_KEPT_BACK, descriptors // 4))
    return max(_LEAST_CONNECTIONS, min(wanted, descriptors - kept))


def _less(limit: int, number: int, infinity: int) -> bool:
    return limit != infinity and limit < number
