"""A module made ready to be started from the command line: found, with its environment, and how it is started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ...config import ServerSettings
from ..process.launch_plan import LaunchPlan, launch_plan
from ..settings.macros import Macros, macros_of
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo, detect_platform
from ..settings.scanner import Scanner
from .installer import Installer


class PreparedModule(msgspec.Struct, frozen=True):
    """A module, and what starts its process."""

    module: ModuleSettings
    plan: LaunchPlan
    macros: Macros


async def prepared(settings: ServerSettings, name: str, report: Callable[[str], None]) -> PreparedModule:
    """Find a module by its id or its folder's name, and install it if need be.

    Raises ``LookupError``, ``InstallError`` or ``LaunchError``; their texts say what is wrong.
    """
    machine = await asyncio.to_thread(detect_platform)
    module = await asyncio.to_thread(_find, settings, machine, name)
    installed = await Installer(settings, machine).install(module, lambda line: report(f"{module.module_id}: {line}"))
    macros = macros_of(settings, machine, module)
    plan = await asyncio.to_thread(launch_plan, module, macros, installed.python, installed.variables)
    return PreparedModule(module, plan, macros)


def _find(settings: ServerSettings, machine: PlatformInfo, name: str) -> ModuleSettings:
    modules = Scanner(settings, machine).scan()
    found = next((one for one in modules if name.lower() in (one.module_id.lower(), one.folder.name.lower())), None)
    if found is None:
        names = ", ".join(one.module_id for one in modules) or "none at all"
        raise LookupError(f"there is no such module in {settings.modules_dir}, but {names}.")
    if found.error or found.settings is None:
        raise LookupError(found.error)
    incompatible = found.settings.incompatibility(settings.compatible_version, machine)
    if incompatible:
        raise LookupError(incompatible)
    return found.settings
