"""llama.cpp's process-wide state: its back end, and what it says about errors."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from typing import Any

import llama_cpp

from .devices import devices

_ERROR = 4
_CONTINUED = 5

_lock = threading.Lock()
_recent_errors: deque[str] = deque(maxlen=20)
_last_level = 0
_verbose = False
_started = False


def _on_log(level: int, text: bytes, _user_data: Any) -> None:
    global _last_level
    level = _last_level if level == _CONTINUED else level
    _last_level = level
    line = text.decode("utf-8", "replace")
    if level == _ERROR:
        _recent_errors.append(line.strip())
    if _verbose:
        print(line, end="", flush=True)


# llama.cpp keeps the pointer for as long as the process lives, so the object must never be collected.
_callback = llama_cpp.llama_log_callback(_on_log)


def start(verbose: bool = False) -> None:
    """Prepare llama.cpp once per process and take over its log. May be called any number of times."""
    global _started, _verbose
    with _lock:
        _verbose = verbose
        if not _started:
            # When llama.cpp aborts, the module restarts; a debugger attached for the backtrace would delay that.
            os.environ.setdefault("GGML_NO_BACKTRACE", "1")
            llama_cpp.llama_log_set(_callback, ctypes.c_void_p(0))
            llama_cpp.llama_backend_init()
            _started = True


def take_errors() -> str:
    """Return what llama.cpp has complained about since the last call, as one line; empty when nothing."""
    errors = [line for line in _recent_errors if line]
    _recent_errors.clear()
    return "; ".join(errors)


def uses_extra_buffers() -> bool:
    """Whether weights may be laid out anew for the processor's fast paths: where those are wrong, hosting says no."""
    return os.environ.get("CPAI_MODULE_LLAMA_EXTRA_BUFFERS", "").strip().lower() not in ("0", "false", "no", "off")


def can_use_gpu() -> bool:
    """Whether this build of llama.cpp can use a GPU, and has found one."""
    found = devices()
    return bool(llama_cpp.llama_supports_gpu_offload()) and (not found or any(device.is_gpu for device in found))
