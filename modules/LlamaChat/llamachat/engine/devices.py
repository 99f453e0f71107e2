"""The processors and GPUs that this build of llama.cpp has found on this machine."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_GPU_KINDS = {1, 2}  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU


@dataclass(frozen=True)
class Device:
    """``name`` is what its maker calls it, e.g. ``NVIDIA H200``."""

    name: str
    is_gpu: bool


def devices() -> list[Device]:
    """Return what llama.cpp can compute on; nothing when this llama-cpp-python has no way to ask."""
    try:
        from llama_cpp._ggml import libggml

        count, get = libggml.ggml_backend_dev_count, libggml.ggml_backend_dev_get
        kind, describe = libggml.ggml_backend_dev_type, libggml.ggml_backend_dev_description
    except (ImportError, AttributeError, OSError):
        return []
    count.restype, get.restype, describe.restype = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
    get.argtypes, kind.argtypes, describe.argtypes = [ctypes.c_size_t], [ctypes.c_void_p], [ctypes.c_void_p]
    found = [get(number) for number in range(count())]
    return [Device(describe(device).decode("utf-8", "replace"), kind(device) in _GPU_KINDS) for device in found]
