"""Which accelerator the machine has, as far as it decides what a module installs. Everything here blocks."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

import msgspec

from ..process.command_output import output_of
from ..settings.platform_info import PlatformInfo

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
    """Look once for CUDA, ROCm and Apple silicon. Raises ``OSError`` when that cannot be done now."""
    if machine.os == "macos":
        return Accelerators(mps=machine.architecture == "arm64")
    rocm = shutil.which("rocminfo") is not None or Path("/opt/rocm").is_dir()
    return Accelerators(cuda=_cuda(machine), rocm=rocm and machine.os == "linux")


def cuda_version(nvcc: str, nvidia_smi: str) -> tuple[int, int] | None:
    """Return the lower of the versions in the outputs of ``nvcc --version`` and ``nvidia-smi``.

    What is installed must suit the toolkit, if there is one, and may ask no more of the driver than it can do.
    """
    found = [match for match in (_NVCC_VERSION.search(nvcc), _SMI_VERSION.search(nvidia_smi)) if match]
    return min(((int(match[1]), int(match[2])) for match in found), default=None)


def _cuda(machine: PlatformInfo) -> tuple[int, int] | None:
    """The CUDA version of a GPU that is really there: a toolkit alone, without a driver that answers, is no GPU."""
    smi = shutil.which("nvidia-smi")
    driver = output_of([smi]) if smi else ""
    if not driver and machine.device != "jetson":  # a Jetson's driver has no nvidia-smi
        return None
    nvcc = shutil.which("nvcc") or (_USUAL_NVCC if Path(_USUAL_NVCC).exists() else None)
    return cuda_version(output_of([nvcc, "--version"]) if nvcc else "", driver)
