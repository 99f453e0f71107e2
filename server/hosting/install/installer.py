"""Installing a module: its environment, the proof that it works, then its own install script.

Nothing is run when nothing has changed.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import msgspec

from ...config import ServerSettings
from ..process.leftovers import LaunchNote, LaunchRecord
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo
from .environment import EnvironmentPlan, is_current, plan_environment
from .environment_maker import make_environment, prove_environment
from .file_lock import locked
from .install_script import InstallScript, find_scripts, is_done, note_done, run_script
from .install_steps import InstallError, InstallLog, Report
from .interpreter import NoInterpreterError, system_interpreter
from .proof import read_note, why_unproven


class InstallPlan(msgspec.Struct, frozen=True):
    """What installing a module comes to. ``python`` is the interpreter it will run on; ``None`` if it needs none."""

    environment: EnvironmentPlan | None
    scripts: list[InstallScript]
    python: Path | None
    installed: bool
    """Everything is there."""
    unproven: str
    """Why it has to be proven that it works here; empty when it has been."""
    variables: dict[str, str]
    """What its process needs in its environment, because of how its packages were built."""

    @property
    def current(self) -> bool:
        """Whether nothing has to be done."""
        return self.installed and not self.unproven


class Installer:
    """Installs modules, one after another. ``launches`` is where the running commands are noted."""

    def __init__(self, settings: ServerSettings, machine: PlatformInfo, launches: LaunchRecord | None = None) -> None:
        self._settings = settings
        self._machine = machine
        self._launches = launches
        self._one_at_a_time = asyncio.Lock()

    def log_path(self, module_id: str) -> Path:
        """Where the output of a module's installation is kept."""
        return self._settings.data_dir / "logs" / f"install-{module_id}.log"

    async def plan(self, module: ModuleSettings) -> InstallPlan:
        """Look at what a module needs and what is there. Raises ``InstallError``, ``OSError`` when nobody can tell."""
        return await asyncio.to_thread(self._plan, module.installed_as)

    async def install(self, module: ModuleSettings, report: Report, *, lives: bool = False) -> InstallPlan:
        """Make a module ready to run; return at once when it is. Raises ``InstallError``.

        ``lives``: its process runs already, which proves enough.
        """
        plan = await self.plan(module)
        return plan if plan.current or (lives and plan.installed) else await self._bring(module, report, "")

    async def prove(self, module: ModuleSettings, report: Report, doubt: str) -> InstallPlan:
        """Make sure that a module works here; ``doubt`` is why that must be proven anew. Raises ``InstallError``."""
        return await self._bring(module, report, doubt)

    async def _bring(self, module: ModuleSettings, report: Report, doubt: str) -> InstallPlan:
        if self._one_at_a_time.locked():
            report("waiting until the module before it is installed")
        lock = self._settings.environments_folder / ".lock"
        waiting = "waiting until another server or installer has made its environments"
        async with self._one_at_a_time, locked(lock, lambda: report(waiting)):
            plan = await self.plan(module)  # whoever held the locks may have done it
            if doubt or not plan.current:
                await self._run(module.installed_as, plan, report, doubt or plan.unproven)
                plan = await self.plan(module)
        return plan

    async def _run(self, module: ModuleSettings, plan: InstallPlan, report: Report, doubt: str) -> None:
        launch_id = f"install-{uuid.uuid4()}"
        log = InstallLog(self.log_path(module.module_id), report, launch_id)
        await log.open()
        if self._launches is not None:
            await asyncio.to_thread(self._launches.add, LaunchNote(launch_id))
        try:
            if plan.environment is not None:
                await self._make(plan.environment, log, doubt)
            for script in plan.scripts:
                if not await asyncio.to_thread(is_done, script):
                    await run_script(script, self._settings, module, self._machine, log)
                    await asyncio.to_thread(note_done, script)
            log.say("installed")
        except InstallError as error:
            log.keep(str(error))
            raise
        finally:
            if self._launches is not None:
                await asyncio.to_thread(self._launches.remove, launch_id)
            await log.close()

    async def _make(self, environment: EnvironmentPlan, log: InstallLog, doubt: str) -> None:
        if not await asyncio.to_thread(is_current, environment):
            await make_environment(environment, log)
        elif environment.proof is not None and doubt:
            await prove_environment(environment, environment.proof, log, doubt)

    def _plan(self, module: ModuleSettings) -> InstallPlan:
        environment = plan_environment(self._settings, module, self._machine)
        python = environment.python if environment is not None else self._system_python(module)
        fingerprint = environment.fingerprint if environment is not None else ""
        notes = environment.folder if environment is not None else self._settings.environments_folder / ".scripts"
        scripts = find_scripts(module, python, fingerprint, notes) if python is not None else []
        there = environment is None or is_current(environment)
        unproven, variables = _proven(environment) if environment is not None and there else ("", {})
        return InstallPlan(
            environment=environment,
            scripts=scripts,
            python=python,
            installed=there and all(is_done(script) for script in scripts),
            unproven=unproven,
            variables=variables,
        )

    def _system_python(self, module: ModuleSettings) -> Path | None:
        if not module.is_python or module.launch_settings.command:
            return None
        try:
            return Path(system_interpreter(module.launch_settings.runtime).path)
        except NoInterpreterError as error:
            raise InstallError(str(error)) from None


def _proven(environment: EnvironmentPlan) -> tuple[str, dict[str, str]]:
    """Return why an environment that is there has to be proven, and what the build that was proven wants."""
    proof = environment.proof
    if proof is None:
        return "", {}
    note = read_note(proof, environment.folder)
    return why_unproven(proof, environment.folder, note), note.variables if note is not None else {}
