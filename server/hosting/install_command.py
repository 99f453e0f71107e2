"""Making module environments from the command line, without a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..config import ServerSettings
from .install_steps import InstallError
from .installer import Installer
from .module_settings import ModuleSettings
from .platform_info import PlatformInfo, detect_platform
from .scanner import FoundModule, Scanner


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
    done = [await _install(module, installer, settings, machine, report) for module in chosen]
    return wanted <= known and all(done) and not scanner.troubles


async def _install(
    found: FoundModule,
    installer: Installer,
    settings: ServerSettings,
    machine: PlatformInfo,
    report: Callable[[str], None],
) -> bool:
    if found.error or found.settings is None:
        report(f"{found.module_id}: {found.error}")
        return False
    module: ModuleSettings = found.settings
    incompatible = module.incompatibility(settings.compatible_version, machine)
    if incompatible:
        report(f"{module.module_id}: left out, because {incompatible}.")
        return True
    try:
        before = await installer.plan(module)
        if before.current:
            report(f"{module.module_id}: ready")
        else:
            await installer.install(module, lambda line: report(f"{module.module_id}: {line}"))
    except (InstallError, OSError) as error:
        report(f"{module.module_id}: {error}")
        return False
    return True
