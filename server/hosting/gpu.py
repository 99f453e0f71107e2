"""Which accelerator the machine has, as far as it decides what a module installs. Everything here blocks."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from .platform_info import PlatformInfo

_NVCC_VERSION = re.compile(r"release (\d+)\.(\d+)")
_SMI_VERSION = re.compile(r"CUDA Version:\s*(\d+)\.(\d+)")
_USUAL_NVCC = "/usr/local/cuda/bin/nvcc"


class Accelerators(msgspec.Struct, frozen=True):
    """``cuda``: version as (major, minor), or ``None``."""

    cuda: tuple[int, int] | None = None
    rocm: bool = False
    mps: bool = False

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self.cuda is not None or self.rocm or self.mps


@functools.cache
def find_accelerators(machine: PlatformInfo) -> Accelerators:
    """Look once for CUDA (an NVIDIA driver that answers, or the toolkit), ROCm and Apple silicon."""
    if machine.os == "macos":
        return Accelerators(mps=machine.architecture == "arm64")
    rocm = shutil.which("rocminfo") is not None or Path("/opt/rocm").is_dir()
    return Accelerators(cuda=_cuda(), rocm=rocm and sys.platform == "linux")


def cuda_version(nvcc: str, nvidia_smi: str) -> tuple[int, int] | None:
    """Return the version in the output of ``nvcc --version``, else in that of ``nvidia-smi``."""
    match = _NVCC_VERSION.search(nvcc) or _SMI_VERSION.search(nvidia_smi)
    return (int(match[1]), int(match[2])) if match else None


def _cuda() -> tuple[int, int] | None:
    nvcc = shutil.which("nvcc") or (_USUAL_NVCC if Path(_USUAL_NVCC).exists() else None)
    smi = shutil.which("nvidia-smi")
    return cuda_version(_output([nvcc, "--version"]) if nvcc else "", _output([smi]) if smi else "")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
