"""Prints in which ways llama.cpp may be installed on this machine, the best first: one line of JSON for the server.

    python llama_cpp_builds.py

Standard library only: the module's environment is not there yet. The server installs one after the other until
``prove_llama_cpp.py`` says that it computes rightly. Builds differ in their CMake settings, never in environment
variables: by the settings uv knows a build that it has made before.
"""

from __future__ import annotations

import json
import os
from typing import Any

from proof.compiler import cxx_compiler, loses_tile_stores
from proof.cpu_flags import architecture, cpu_flags

KEEPS_STORES = ("-fno-tree-dse", "-fno-dse")
"""With these a gcc whose AMX intrinsic is wrong stores what it should."""

WITHOUT_AMX = ("-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16")
_AVX2 = {"avx2", "fma", "f16c", "bmi2"}
_X86_SETS = ("SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C")
_PROCESSOR = "cmake.define.MILLRACE_PROCESSOR=%PROCESSOR%"  # means nothing to CMake: it tells builds apart

Build = dict[str, Any]


def ladder(machine: str, flags: set[str] | None, loses_stores: bool) -> list[Build]:
    """Return the builds for a machine, the fastest first. ``flags`` None: it is not known what its processor has."""
    keep = KEEPS_STORES if loses_stores and machine == "x86_64" else ()
    builds = [{"name": "a prebuilt wheel", "origin": "wheel"}, _native("built for this processor", keep)]
    if machine == "x86_64":
        if flags is not None and "amx_tile" in flags:
            builds.append(_native("built for this processor without AMX", (*keep, *WITHOUT_AMX)))
        if flags is None or flags >= _AVX2:
            builds.append(_portable("built for processors with AVX2", *(f"GGML_{name}=ON" for name in _X86_SETS)))
        builds.append(_portable("built for any x86-64 processor", *(f"GGML_{name}=OFF" for name in _X86_SETS)))
    elif machine == "arm64":
        builds.append(_portable("built for any 64-bit ARM processor", "GGML_CPU_ARM_ARCH=armv8-a"))
    else:
        builds.append(_portable("built for any processor of this kind"))
    slow = {"CPAI_MODULE_LLAMA_EXTRA_BUFFERS": "false"}
    return [*builds, {"name": "any build, without the processor's fast paths", "origin": "any", "variables": slow}]


def _native(name: str, flags: tuple[str, ...]) -> Build:
    return _source(name, "GGML_NATIVE=ON", *_flags(flags), processor=True)


def _portable(name: str, *defines: str) -> Build:
    return _source(name, "GGML_NATIVE=OFF", *defines)


def _source(name: str, *defines: str, processor: bool = False) -> Build:
    settings = [f"cmake.define.{define}" for define in defines]
    return {"name": name, "origin": "source", "configSettings": [*settings, *([_PROCESSOR] if processor else [])]}


def _flags(flags: tuple[str, ...]) -> list[str]:
    """Add to what the user compiles with: a setting of CMake would hide the variable."""
    names = (("CMAKE_C_FLAGS", "CFLAGS"), ("CMAKE_CXX_FLAGS", "CXXFLAGS"))
    return [
        f"{setting}={' '.join((*os.environ.get(variable, '').split(), *flags))}" for setting, variable in names if flags
    ]


if __name__ == "__main__":
    print(json.dumps(ladder(architecture(), cpu_flags(), loses_tile_stores(cxx_compiler()))))
