"""The ``%NAME%`` macros that a module's settings may use."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from ...config import ROOT, ServerSettings
from .module_settings import ModuleSettings
from .platform_info import PlatformInfo

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_MACRO = re.compile(r"%[A-Z_]+%")


class Macros(msgspec.Struct, frozen=True):
    """The values of all macros, by name with the percent signs."""

    values: dict[str, str]

    def expand(self, text: str) -> str:
        """Replace the macros and make every slash the platform's own.

        URLs keep their slashes. A text that starts with ``@`` is taken literally, without the ``@``. An unknown
        macro stays as it is.
        """
        if text.startswith("@"):
            return text[1:]
        expanded = self.replace(text)
        return expanded if _URL.match(expanded) else expanded.replace("\\", os.sep).replace("/", os.sep)

    def replace(self, text: str) -> str:
        """Replace the macros and change nothing else. ``%PYTHON_PATH%`` may itself hold macros."""
        once = _MACRO.sub(self._value, text)
        return _MACRO.sub(self._value, once)

    def _value(self, match: re.Match[str]) -> str:
        return self.values.get(match[0], match[0])


def macros_of(settings: ServerSettings, machine: PlatformInfo, module: ModuleSettings) -> Macros:
    """Return the macros of one module."""
    python_name = module.launch_settings.runtime.lower().replace(".", "")
    return macros_for(settings, machine, module.path, python_name, settings.environments_folder)


def macros_for(
    settings: ServerSettings, machine: PlatformInfo, folder: Path, python_name: str, runtimes: Path
) -> Macros:
    """Return those of a module's folder. ``python_name`` is like ``python311``, ``runtimes`` where environments are."""
    scripts = "Scripts/python" if machine.os == "windows" else "bin/python3"
    return Macros(
        {
            "%ROOT_PATH%": str(ROOT),
            "%RUNTIMES_PATH%": str(runtimes),
            "%MODULES_PATH%": str(settings.modules_dir),
            "%PREINSTALLED_MODULES_PATH%": str(ROOT / "preinstalled-modules"),
            "%DEMO_MODULES_PATH%": str(ROOT / "src" / "demos" / "modules"),
            "%EXTERNAL_MODULES_PATH%": str(ROOT.parent / "CodeProject.AI-Modules"),
            "%CURRENT_MODULE_PATH%": str(folder),
            "%PLATFORM%": machine.name,
            "%OS%": machine.os,
            "%OS_NAME%": machine.os_name,
            "%DATA_DIR%": str(settings.data_dir),
            "%PYTHON_PATH%": f"/bin/%OS_NAME%/%PYTHON_NAME%/venv/{scripts}",
            "%PYTHON_NAME%": python_name,
        }
    )
