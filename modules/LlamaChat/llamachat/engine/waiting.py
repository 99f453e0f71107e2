"""How long llama.cpp's threads wait for each other without giving up their processor.

They meet many times for each token. To wait awake is the fastest on a machine with nothing else to do; on a busy one
the others then get nothing done, and those that are waited for are among them. So they are awake for some microseconds
only, which is enough for those that really are about to come. It must be said before llama.cpp is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_ROUNDS = "2000"

# Read by GNU's OpenMP library, with which llama.cpp is built on Linux. The user's own choice goes before.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)


def apart(work: Callable[[], T]) -> T:
    """Compute on a thread that ends, and return the result.

    OpenMP keeps a team for each living thread that has computed. When all teams together have more threads than there
    are processors, each waits in a slower way; so only the engine's thread should have one.
    """
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result()
