"""What machine this is and which accelerators its libraries can use. Everything is looked up when asked for."""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["SystemInfo"]

COMMAND_SECONDS = 10.0

_BOARDS = {
    "raspberry pi": "Raspberry Pi",
    "orange pi": "Orange Pi",
    "radxa rock": "Radxa ROCK",
    "jetson": "Jetson",
}


class SystemInfo:
    """Facts about this machine. A missing library makes the question about it answer False."""

    @cached_property
    def os(self) -> str:
        """``Linux``, ``macOS`` or ``Windows``."""
        name = platform.system()
        return "macOS" if name == "Darwin" else name

    @cached_property
    def system(self) -> str:
        """The operating system, or the board: ``Raspberry Pi``, ``Orange Pi``, ``Radxa ROCK``, ``Jetson``."""
        model = _read("/proc/device-tree/model").lower()
        return next((name for key, name in _BOARDS.items() if key in model), self.os)

    @cached_property
    def in_WSL(self) -> bool:
        """Whether this is Linux inside Windows."""
        return "microsoft" in platform.release().lower()

    @cached_property
    def cpu_brand(self) -> str:
        """The processor's name, e.g. ``Intel(R) Xeon(R)``; empty when it cannot be found out."""
        if self.os == "Linux":
            match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
            return match[1].strip() if match else ""
        if self.os == "macOS":
            return _run("sysctl", "-n", "machdep.cpu.brand_string").strip()
        return platform.processor()

    @cached_property
    def cpu_vendor(self) -> str:
        """``Apple``, ``Intel``, or the brand."""
        for vendor in ("Apple", "Intel"):
            if vendor.lower() in self.cpu_brand.lower():
                return vendor
        return self.cpu_brand

    @cached_property
    def cpu_arch(self) -> str:
        """The architecture, e.g. ``x86_64`` or ``arm64``."""
        name = platform.machine()
        return {"AMD64": "x86_64", "aarch64": "arm64"}.get(name, name)

    @cached_property
    def osVersion(self) -> str:
        """The version of the operating system."""
        return platform.mac_ver()[0] if self.os == "macOS" else platform.version()

    @cached_property
    def getCudaVersion(self) -> tuple[int | None, int | None]:
        """Major and minor version of the CUDA toolkit or driver, or (None, None)."""
        text = _run("nvcc", "--version") or _run("nvidia-smi")
        match = re.search(r"(?:release|CUDA Version:)\s*(\d+)\.(\d+)", text)
        return (int(match[1]), int(match[2])) if match else (None, None)

    @cached_property
    def hasNvidiaGPU(self) -> bool:
        """Whether the driver lists a graphics card."""
        return "GPU" in _run("nvidia-smi", "-L")

    @cached_property
    def hasTorchCuda(self) -> bool:
        """Whether PyTorch can use CUDA."""
        return _ask("torch", lambda torch: torch.cuda.is_available())

    @cached_property
    def hasTorchDirectML(self) -> bool:
        """Whether PyTorch can use DirectML."""
        return _ask("torch_directml", lambda directml: directml.is_available())

    @cached_property
    def hasTorchROCm(self) -> bool:
        """Whether PyTorch can use ROCm."""
        return _ask("torch", lambda torch: torch.version.hip is not None and torch.cuda.is_available())

    @cached_property
    def hasTorchHalfPrecision(self) -> bool:
        """Whether PyTorch's graphics card computes well with half precision."""
        return _ask("torch", _half_precision)

    @cached_property
    def hasTorchMPS(self) -> bool:
        """Whether PyTorch can use Apple's Metal."""
        return _ask("torch", lambda torch: torch.backends.mps.is_available())

    @cached_property
    def hasTensorflowGPU(self) -> bool:
        """Whether TensorFlow sees a graphics card."""
        return _ask("tensorflow", lambda tensorflow: bool(tensorflow.config.list_physical_devices("GPU")))

    @cached_property
    def hasONNXRuntime(self) -> bool:
        """Whether ONNX Runtime is installed and works."""
        return _ask("onnxruntime", lambda runtime: bool(runtime.get_available_providers()))

    @cached_property
    def hasONNXRuntimeGPU(self) -> bool:
        """Whether ONNX Runtime runs on a graphics card."""
        return _ask("onnxruntime", lambda runtime: runtime.get_device() == "GPU")

    @cached_property
    def hasOpenVINO(self) -> bool:
        """Whether OpenVINO is installed."""
        return _ask("openvino", lambda _: True)

    @cached_property
    def hasPaddleGPU(self) -> bool:
        """Whether PaddlePaddle runs on a graphics card."""
        return _ask("paddle", lambda paddle: paddle.device.get_device().startswith("gpu"))

    @cached_property
    def hasCoralTPU(self) -> bool:
        """Whether a Coral Edge TPU is attached and its library installed."""
        return _ask("pycoral.utils.edgetpu", lambda edgetpu: bool(edgetpu.list_edge_tpus()))

    @cached_property
    def hasFastDeployRockNPU(self) -> bool:
        """Whether FastDeploy can use the NPU of a Rockchip board."""
        return "rk35" in _read("/proc/device-tree/compatible") and _ask("fastdeploy", lambda _: True)


def _half_precision(torch: Any) -> bool:
    if not torch.cuda.is_available():
        return False
    # Cards of the GTX 16 series have fast half precision on paper and wrong results in practice.
    name = torch.cuda.get_device_name(0)
    return torch.cuda.get_device_capability(0) >= (7, 0) and not re.search(r"GTX 16\d\d", name)


def _ask(module: str, question: Callable[[Any], bool]) -> bool:
    try:
        return bool(question(importlib.import_module(module)))
    except Exception:  # a library that is there but broken is no help either
        return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _run(*command: str) -> str:
    """Return a program's output, or an empty text when it is missing or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # only there on Windows
    try:
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            creationflags=flags,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
