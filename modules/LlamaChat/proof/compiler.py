"""Whether the C++ compiler stores the whole configuration of AMX tiles before it loads it.

The ``_tile_loadconfig`` of some gcc releases says that it reads 8 of the 64 bytes. What a program stores into the
other 56 is then dead to the optimiser, which leaves it out, and the processor loads what happens to be in memory.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

_SECONDS = 20
_CODE = """
#include <immintrin.h>
void configure(void) {
    struct { unsigned char palette, start, unused[14]; unsigned short columns[16]; unsigned char rows[16]; } tiles = {};
    tiles.palette = 1;
    tiles.rows[5] = STORED;
    _tile_loadconfig(&tiles);
}
"""


def cxx_compiler() -> list[str]:
    """Return the command of the C++ compiler that CMake would take; empty when there is none."""
    named = shlex.split(os.environ.get("CXX", ""))
    if named:
        return named
    return next(([found] for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), [])


def loses_tile_stores(compiler: list[str]) -> bool:
    """Compile a store of two different numbers: when the results are the same, the compiler has left it out."""
    if not compiler:
        return False
    first, second = (_assembly(compiler, number) for number in (0x35, 0x53))
    return first is not None and first == second


def _assembly(compiler: list[str], number: int) -> str | None:
    """What the compiler makes of the code; ``None`` when it knows no AMX, or is not to be run."""
    command = [*compiler, "-x", "c++", "-O3", "-mamx-tile", f"-DSTORED={number}", "-S", "-o", "-", "-"]
    try:
        done = subprocess.run(
            command, input=_CODE, capture_output=True, text=True, timeout=_SECONDS, check=False, encoding="utf-8"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
