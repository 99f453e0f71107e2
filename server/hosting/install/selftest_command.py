"""Running a module's own self-test from the command line, in the module's environment and without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ...config import ServerSettings
from ..process.launch_environment import by_hand_environment
from ..process.launch_plan import LaunchError, LaunchPlan, launch_plan
from ..settings.macros import Macros, macros_of
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo, detect_platform
from ..settings.scanner import Scanner
from .install_steps import InstallError
from .installer import Installer

_FLAG = "--selftest"
"""What the SDK runs the self-test for."""


async def selftest(settings: ServerSettings, module_id: str, report: Callable[[str], None]) -> bool:
    """Install the module if need be and run its self-test; whether it succeeded. What is printed goes on."""
    machine = await asyncio.to_thread(detect_platform)
    try:
        module = await asyncio.to_thread(_find, settings, machine, module_id)
        plan, macros = await _prepare(settings, machine, module, report)
    except (InstallError, LaunchError, LookupError) as error:
        report(f"{module_id}: {error}")
        return False
    environment = by_hand_environment(module, settings.port, macros, os.environ, plan.variables)
    process = await asyncio.create_subprocess_exec(*plan.command, _FLAG, cwd=plan.folder, env=environment)
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _find(settings: ServerSettings, machine: PlatformInfo, module_id: str) -> ModuleSettings:
    modules = Scanner(settings, machine).scan()
    found = next((one for one in modules if one.module_id.lower() == module_id.lower()), None)
    if found is None:
        names = ", ".join(one.module_id for one in modules) or "none at all"
        raise LookupError(f"there is no such module in {settings.modules_dir}, but {names}.")
    if found.error or found.settings is None:
        raise LookupError(found.error)
    incompatible = found.settings.incompatibility(settings.compatible_version, machine)
    if incompatible:
        raise LookupError(incompatible)
    return found.settings


async def _prepare(
    settings: ServerSettings, machine: PlatformInfo, module: ModuleSettings, report: Callable[[str], None]
) -> tuple[LaunchPlan, Macros]:
    installed = await Installer(settings, machine).install(module, lambda line: report(f"{module.module_id}: {line}"))
    macros = macros_of(settings, machine, module)
    return await asyncio.to_thread(launch_plan, module, macros, installed.python, installed.variables), macros
