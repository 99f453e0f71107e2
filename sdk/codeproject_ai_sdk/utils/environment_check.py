"""Does the environment have what the module's requirements file asks for?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..common import check_installed_packages

if TYPE_CHECKING:
    from ..system_info import SystemInfo

__all__ = ["check_packages", "check_requirements", "requirements_filepath"]


def requirements_filepath(folder: str, system: SystemInfo, gpu: bool) -> str | None:
    """Return the first requirements file that exists for this machine, the most particular one first."""
    os_name, arch = system.os.lower(), system.cpu_arch
    board = system.system.lower().replace(" ", "")
    names = [board] if system.system != system.os else []
    if gpu:
        names += _accelerator_names(system, os_name, arch)
    names += [f"{os_name}.{arch}", os_name]
    for name in (*(f"requirements.{name}.txt" for name in names), "requirements.txt"):
        path = Path(folder) / name
        if path.is_file():
            return str(path)
    return None


def check_requirements(requirements_path: str) -> bool:
    """Return whether all packages of a requirements file are installed; print those that are not."""
    return not check_installed_packages(requirements_path, report=True)


def check_packages(requirements_path: str | None) -> None:
    """Print which packages of the file are missing; nothing without a file."""
    if requirements_path is not None:
        check_requirements(requirements_path)


def _accelerator_names(system: SystemInfo, os_name: str, arch: str) -> list[str]:
    names: list[str] = []
    if os_name == "macos" and arch == "arm64":
        names.append("mps")
    elif system.getCudaVersion[0] is not None:
        names += [f"{os_name}.{arch}.cuda", f"{os_name}.cuda", "cuda"]
    elif system.hasTorchROCm:
        names += [f"{os_name}.{arch}.rocm", f"{os_name}.rocm", "rocm"]
    return [*names, f"{os_name}.{arch}.gpu", f"{os_name}.gpu", "gpu"]
