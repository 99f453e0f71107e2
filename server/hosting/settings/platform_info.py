"""What this machine is called in settings files, file names and macros."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
_SYSTEMS = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
# What the device tree calls a board → what settings files call it.
_DEVICES = {"raspberry pi": "raspberrypi", "orange pi": "orangepi", "radxa rock": "radxarock", "jetson": "jetson"}
_OS_RELEASE = Path("/etc/os-release")
_DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


class PlatformInfo(msgspec.Struct, frozen=True, kw_only=True):
    """``os``: linux, macos or windows; ``architecture``: x86_64 or arm64; ``device``: a board's name, or empty.

    ``os_name`` is the distribution (``ubuntu``, ``debian``) on Linux, elsewhere the same as ``os``.
    """

    os: str
    architecture: str
    os_name: str
    device: str = ""
    in_docker: bool = False

    @property
    def name(self) -> str:
        """The platform as ``InstallOptions.Platforms`` lists it: the device, or the system with ``-arm64``."""
        if self.device:
            return self.device
        return f"{self.os}-arm64" if self.architecture == "arm64" else self.os

    @property
    def architecture_names(self) -> tuple[str, ...]:
        """The architecture in file names: servers say ``x64`` where install scripts say ``x86_64``."""
        return ("x64", "x86_64") if self.architecture == "x86_64" else (self.architecture,)

    def accepts(self, platforms: list[str]) -> bool:
        """Whether a ``Platforms`` list includes this machine. An empty list does; ``!name`` excludes."""
        names = {name.strip().lower() for name in platforms if name.strip()}
        if f"!{self.name}" in names:
            return False
        wanted = {name for name in names if not name.startswith("!")}
        return not wanted or "all" in wanted or self.name in wanted


def detect_platform() -> PlatformInfo:
    """Look at this machine. Reads a few small files."""
    system = _SYSTEMS.get(platform.system(), platform.system().lower())
    machine = platform.machine().lower()
    return PlatformInfo(
        os=system,
        architecture=_ARCHITECTURES.get(machine, machine),
        os_name=distribution_id(_read(_OS_RELEASE)) if system == "linux" else system,
        device=device_name(_read(_DEVICE_TREE_MODEL)) if system == "linux" else "",
        in_docker=os.environ.get("DOTNET_RUNNING_IN_CONTAINER", "").lower() == "true",
    )


def distribution_id(os_release: str) -> str:
    """Return the ``ID`` of an os-release text, e.g. ``debian``; ``linux`` when there is none."""
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ID":
            return value.strip().strip("\"'").lower() or "linux"
    return "linux"


def device_name(model: str) -> str:
    """Return the settings' name of a board from its device-tree model; empty for anything else."""
    for words, name in _DEVICES.items():
        if words in model.lower():
            return name
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
