"""The environment variables of a module's process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from codeproject_ai_sdk.protocol import CHANNEL_PATH

from ...config import ROOT
from ..settings.macros import Macros
from ..settings.module_settings import ModuleSettings, Scalar
from .process_tree import LAUNCH_VARIABLE
from .uv_tool import clean_environment

SITE_FOLDER = Path(__file__).with_name("module_site")
"""Python looks here first in every module process: its requests to the server then carry the secret of its launch."""

_VERBOSITIES = {"quiet": "Quiet", "info": "Info", "loud": "Loud", "unknown": "Info"}
_HALF_PRECISIONS = ("force", "enable", "disable")


class Launch(msgspec.Struct, frozen=True):
    """One launch of a module: its id, and the secret by which the process proves that it is this launch."""

    launch_id: str
    secret: str
    port: int


def launch_environment(
    module: ModuleSettings,
    launch: Launch,
    macros: Macros,
    inherited: Mapping[str, str],
    build: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a module's process.

    What identifies module and server always holds. The module's own variables and its tuning are upper-cased, and give
    way to variables that the server itself was started with. ``build``: what the build of its packages wants, where
    nobody has said anything else.
    """
    environment = clean_environment(inherited)
    for name, value in {**(build or {}), **_tuning(module), **_own_variables(module, macros)}.items():
        environment.setdefault(name, value)
    environment.update(_identity(module, launch.port))
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONIOENCODING"] = "utf-8"
    environment[LAUNCH_VARIABLE] = launch.launch_id
    environment["MILLRACE_CHANNEL_SECRET"] = launch.secret
    python_path = environment.get("PYTHONPATH", "")
    if not module.published_sdk:
        python_path = str(ROOT / "sdk")
        environment["MILLRACE_CHANNEL_URL"] = f"http://127.0.0.1:{launch.port}{CHANNEL_PATH}"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SITE_FOLDER), python_path)))
    return environment


def by_hand_environment(
    module: ModuleSettings, port: int, macros: Macros, inherited: Mapping[str, str], build: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a module's program that nobody supervises: it is no launch of a server."""
    environment = launch_environment(module, Launch("", "", port), macros, inherited, build)
    for name in (LAUNCH_VARIABLE, "MILLRACE_CHANNEL_URL", "MILLRACE_CHANNEL_SECRET"):
        environment.pop(name, None)
    return {**environment, "CPAI_MODULE_SERVER_LAUNCHED": "false"}


def scalar_text(value: Scalar) -> str:
    """Return a settings value as the text a process sees: ``True`` and ``False`` for booleans, nothing for null."""
    return "" if value is None else str(value)


def _identity(module: ModuleSettings, port: int) -> dict[str, str]:
    return {
        "CPAI_PORT": str(port),
        "CPAI_APPROOTPATH": str(ROOT),
        "CPAI_MODULE_SERVER_LAUNCHED": "true",
        "CPAI_MODULE_ID": module.module_id,
        "CPAI_MODULE_NAME": module.name,
        "CPAI_MODULE_PATH": module.folder,
        "CPAI_MODULE_QUEUENAME": module.queue,
    }


def _tuning(module: ModuleSettings) -> dict[str, str]:
    launch, gpu = module.launch_settings, module.gpu_options
    half = gpu.half_precision.lower()
    values = {
        "CPAI_LOG_VERBOSITY": _VERBOSITIES.get(launch.log_verbosity.lower(), "Quiet"),
        "CPAI_MODULE_PARALLELISM": str(launch.parallelism),
        "CPAI_MODULE_ENABLE_GPU": str(gpu.install_gpu and gpu.enable_gpu),
        "CPAI_MODULE_SUPPORT_GPU": str(gpu.install_gpu and gpu.enable_gpu),
        "CPAI_ACCEL_DEVICE_NAME": gpu.accelerator_device_name,
        "CPAI_HALF_PRECISION": half if half in _HALF_PRECISIONS else "enable",
    }
    if launch.required_mb > 0:
        values["CPAI_MODULE_REQUIRED_MB"] = str(launch.required_mb)
    return values


def _own_variables(module: ModuleSettings, macros: Macros) -> dict[str, str]:
    expanded = {name.upper(): macros.expand(scalar_text(value)) for name, value in module.environment_variables.items()}
    return {name: value for name, value in expanded.items() if value}
