"""What the environment says about this module, read once when the SDK is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from .module_logging import LogVerbosity
from .settings_file import read_module_settings

__all__ = ["ModuleOptions"]


def _env(name: str, default: str = "") -> str:
    """Return an environment variable; the default also when it is empty."""
    return os.environ.get(name) or default


def _env_int(name: str, default: int) -> int:
    try:
        return int(_env(name, str(default)))
    except ValueError:
        return default


def _script_folder() -> str:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(Path(script).resolve().parent) if script else os.getcwd()


def _default_parallelism() -> int:
    return max(1, (os.cpu_count() or 2) // 2)


def _parallelism() -> int:
    wanted = _env_int("CPAI_MODULE_PARALLELISM", 0)
    return wanted if wanted > 0 else _default_parallelism()


def _enable_gpu() -> bool:
    # CPAI_MODULE_SUPPORT_GPU is what modules of the 2.1 era were given.
    value = _env("CPAI_MODULE_ENABLE_GPU", _env("CPAI_MODULE_SUPPORT_GPU", "True"))
    return value.strip().lower() == "true"


def _half_precision() -> str:
    value = _env("CPAI_HALF_PRECISION", "").strip().lower()
    return value if value in ("force", "enable", "disable") else "enable"


def _launch_setting(settings: dict[str, Any], key: str) -> str:
    launch = settings.get("LaunchSettings")
    value = launch.get(key) if isinstance(launch, dict) else None
    return str(value) if value else ""


_path = _env("CPAI_MODULE_PATH", _script_folder())
# The file is a fallback for modules started by hand; a server passes everything in the environment.
_file_id, _file_settings = ("", {}) if os.environ.get("CPAI_MODULE_ID") else read_module_settings(_path)
_id = _env("CPAI_MODULE_ID", _file_id or Path(_path).name)
_port = _env_int("CPAI_PORT", 32168)


class ModuleOptions:
    """The module's options, as class attributes."""

    launched_by_server: bool = _env("CPAI_MODULE_SERVER_LAUNCHED").lower() == "true"
    python_dir: str = str(Path(sys.executable).parent)
    current_file_path: str = str(Path(__file__).resolve().parent)
    module_path: str = _path
    module_id: str = _id
    module_name: str = _env("CPAI_MODULE_NAME", str(_file_settings.get("Name") or _id))
    queue_name: str = _env("CPAI_MODULE_QUEUENAME", _launch_setting(_file_settings, "Queue") or f"{_id.lower()}_queue")
    port: int = _port
    server_root_path: str | None = _env("CPAI_APPROOTPATH") or None
    base_api_url: str = f"http://localhost:{_port}/v1/"
    parallelism: int = _parallelism()
    required_MB: int = _env_int("CPAI_MODULE_REQUIRED_MB", 0)
    enable_GPU: bool = _enable_gpu()
    accel_device_name: str | None = _env("CPAI_ACCEL_DEVICE_NAME") or None
    half_precision: str = _half_precision()
    log_verbosity: LogVerbosity = LogVerbosity.read(_env("CPAI_LOG_VERBOSITY", "quiet"))

    @staticmethod
    def getEnvVariable(name: str, default: str = "") -> str:
        """Return an environment variable; the default when it is unset or empty."""
        return _env(name, default)
