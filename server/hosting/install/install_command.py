"""Making module environments from the command line, without a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...config import ServerSettings
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo, detect_platform
from ..settings.scanner import FoundModule, Scanner
from .install_steps import InstallError
from .installer import Installer
from .unused_environments import how_to_delete, unused_environments


async def install_modules(settings: ServerSettings, ids: list[str], report: Callable[[str], None]) -> bool:
    """Install these modules, or all that can run here; whether everything went well. Progress goes to ``report``."""
    machine = await asyncio.to_thread(detect_platform)
    scanner = Scanner(settings, machine)
    found = await asyncio.to_thread(scanner.scan)
    for path, reason in scanner.troubles.items():
        report(f"{path} cannot be read: {reason}.")
    wanted = {module_id.lower() for module_id in ids}
    known = {module.module_id.lower() for module in found}
    for module_id in ids:
        if module_id.lower() not in known:
            report(f"{module_id}: there is no such module in {settings.modules_dir}.")
    chosen = [module for module in found if not wanted or module.module_id.lower() in wanted]
    installer = Installer(settings, machine)
    problems = [await _install(module, installer, settings, machine, report) for module in chosen]
    if not scanner.troubles:
        for environment in await asyncio.to_thread(unused_environments, settings, found):
            report(await asyncio.to_thread(how_to_delete, environment))
    # Once more and last of all: what took long has come between.
    for problem in filter(None, problems):
        report(f"Not ready: {problem}")
    return wanted <= known and not any(problems) and not scanner.troubles


async def _install(
    found: FoundModule,
    installer: Installer,
    settings: ServerSettings,
    machine: PlatformInfo,
    report: Callable[[str], None],
) -> str:
    """Install a module; return what is wrong with it, empty when nothing is."""
    if found.error or found.settings is None:
        return f"{found.module_id}: {found.error}"
    module: ModuleSettings = found.settings
    incompatible = module.incompatibility(settings.compatible_version, machine)
    if incompatible:
        report(f"{module.module_id}: left out, because {incompatible}.")
        return ""
    try:
        before = await installer.plan(module)
        if before.current:
            report(f"{module.module_id}: ready")
        else:
            await installer.install(module, lambda line: report(f"{module.module_id}: {line}"))
    except (InstallError, OSError) as error:
        report(f"{module.module_id}: {error}")
        return f"{module.module_id}: {error}"
    return ""
