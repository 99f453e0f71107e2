"""What a module needs before its process can start: looked at, installed, and proven."""

from __future__ import annotations

import asyncio

from ..config import ServerSettings
from ..file_look import may_pass
from .install.install_steps import InstallError, Report
from .install.installer import Installer, InstallPlan
from .process.launch_plan import LaunchError, launch_plan
from .process.life import End
from .process.process import describe_exit, is_crash
from .settings.macros import Macros, macros_of
from .settings.module_settings import ModuleSettings
from .settings.platform_info import PlatformInfo
from .state import Standing, State
from .supervisor import PREVENTED_SECONDS, Recipe


class Preparation:
    """Makes one module ready to be started. ``standing`` shows what goes on, ``report`` is told the progress."""

    def __init__(
        self, settings: ServerSettings, machine: PlatformInfo, installer: Installer, standing: Standing, report: Report
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._installer = installer
        self._standing = standing
        self._report = report

    async def prepare(self, module: ModuleSettings, *, lives: bool) -> Recipe:
        """Install what is missing; return what to start. ``lives``: its process runs already.

        Raises ``InstallError`` and ``LaunchError``.
        """
        await self._until_planned(module)
        return await self._recipe(module, await self._installer.install(module, self._report, lives=lives))

    async def renew(self, recipe: Recipe, end: End) -> Recipe:
        """Before it is started again: what it runs on must have been proven, and a crash makes that doubtful.

        Raises ``InstallError``.
        """
        try:
            plan = await self._installer.plan(recipe.module)
            code = end.exit_code if plan.installed else None
            crash = f"its process was ended by {describe_exit(code)}" if code is not None and is_crash(code) else ""
            doubt = crash or plan.unproven
            if doubt:
                await self._standing.change(State.INSTALLING, doubt)
                plan = await self._installer.prove(recipe.module, self._report, doubt)
            return await self._recipe(recipe.module, plan) if doubt else recipe
        except LaunchError as error:
            raise InstallError(str(error)) from error
        except OSError as error:
            if may_pass(error):
                return recipe
            raise InstallError(f"What it runs on cannot be proven: {error}") from error

    async def _recipe(self, module: ModuleSettings, plan: InstallPlan) -> Recipe:
        macros = self._macros(module)
        command = await asyncio.to_thread(launch_plan, module, macros, plan.python, plan.variables)
        has_proof = plan.environment is not None and plan.environment.proof is not None
        return Recipe(module, command, macros, self.renew if has_proof else None)

    async def _until_planned(self, module: ModuleSettings) -> None:
        """Look at what it needs. What cannot be looked at for a moment is no reason to make it anew, nor to give up."""
        said = ""
        while True:
            try:
                plan = await self._installer.plan(module)
                if plan.current:
                    await asyncio.to_thread(launch_plan, module, self._macros(module), plan.python)
            except OSError as error:
                if not may_pass(error):
                    raise
                reason = f"what it needs cannot be looked at: {error}; it is tried again"
            else:
                break
            if reason != said:
                await self._standing.change(State.BACKOFF, reason)
            said = reason
            await asyncio.sleep(PREVENTED_SECONDS)
        if said:
            await self._standing.change(State.INSTALLING, "looking at what it needs")

    def _macros(self, module: ModuleSettings) -> Macros:
        return macros_of(self._settings, self._machine, module)
