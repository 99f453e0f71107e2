"""All modules of a server: found, installed, started, watched and stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from ..commands.dispatcher import Dispatcher
from ..commands.routing import RouteTable
from ..commands.workers import Worker, WorkerRegistry
from ..config import ServerSettings
from ..file_look import why
from ..log_book import LogBook
from .catalogue import ModuleConfig, ModuleDescription, ModuleStatus, module_config, module_description
from .folder_watch import FolderWatch
from .hosted_module import HostedModule, Parts
from .install.install_command import install_modules
from .install.installer import Installer
from .install.unused_environments import how_to_delete, unused_environments
from .process.leftovers import LaunchRecord, end_launches
from .process.life import Orphan, Surroundings
from .queue_gate import QueueGate
from .route_claims import RouteClaims, in_order
from .settings.module_settings import ModuleSettings
from .settings.platform_info import PlatformInfo, detect_platform
from .settings.scanner import FoundModule, Scanner
from .settings.setting_names import overruled, placed
from .settings.settings_file import FILE_NAME
from .settings.user_settings import SettingError, save
from .state import State
from .trouble_log import TroubleLog

__all__ = ["ModuleHost", "install_modules"]

SETTLE_SECONDS = 0.5
CODE_ROUND = 15
"""Programs of which nothing was told are still compared with what runs, each in one look of so many."""


class ModuleHost:
    """Keeps the modules of the modules folder alive."""

    def __init__(
        self,
        settings: ServerSettings,
        dispatcher: Dispatcher,
        workers: WorkerRegistry,
        routes: RouteTable,
        log: LogBook,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._workers = workers
        self._routes = routes
        self._book = log
        self._port = settings.port
        self._launches = LaunchRecord(settings.data_dir)
        self._gate = QueueGate(dispatcher)
        self._claims = RouteClaims(settings.data_dir)
        self._unsaved = ""
        self._modules: dict[Path, HostedModule] = {}
        self._unsettled: dict[Path, FoundModule] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._told_unused: set[Path] = set()
        self._orphans: dict[str, Orphan] = {}
        self._scanning = asyncio.Lock()
        self._looks = 0
        self._troubles = TroubleLog(log)

    async def set_port(self, port: int) -> None:
        """Say where the server listens; modules are told so at their start."""
        self._port = port

    async def find_orphans(self) -> list[Worker]:
        """Find the module processes that outlived the last server, and return the workers they are known as.

        Called before anybody can connect. What cannot be taken over is ended.
        """
        notes, ended = await asyncio.to_thread(self._launches.take_leftovers)
        if ended:
            self._book.add(f"Ended {ended} module processes that an earlier server had left behind.", "warning")
        for path, reason in self._launches.unreadable.items():
            self._book.add(f"{path} cannot be read: {reason}. Processes that it names are not looked for.", "warning")
        for note in notes:
            worker = Worker(
                worker_id=note.launch_id,
                module_id=note.module_id,
                queue=note.queue,
                secret=note.secret,
                initialised=True,
            )
            self._workers.add(worker)
            self._orphans[note.module_id] = Orphan(note, worker)
        return [orphan.worker for orphan in self._orphans.values()]

    async def start(self) -> None:
        """Register all modules, and begin to bring them up."""
        machine = await asyncio.to_thread(self._prepare)
        self._parts = self._make_parts(machine)
        self._scanner = Scanner(self._settings, machine)
        self._routes.claims = await asyncio.to_thread(self._claims.load)
        if self._claims.damaged:
            self._book.add(self._claims.damaged, "error")
        self._routes.on_change = self._see_routes
        for found in in_order(await self._scan()):
            await self._add(found)
        if not self._scanner.troubles:
            self._routes.keep_claims_of({module.module_id for module in self._modules.values()})
        await self._save_claims()
        await self._end_strays()
        watch = FolderWatch(self._watched, self._look_again, self._watching_failed)
        works = (watch.run(), self._see_external(), self._tell_unused_environments())
        for work in works:
            self._begin(work)

    async def stop(self) -> None:
        """Stop all modules side by side; no process is left when this returns."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(module.close() for module in self._modules.values()))
        await asyncio.to_thread(self._launches.close)

    async def kill_worker(self, worker_id: str) -> None:
        """Kill a process that did not stop a cancelled command in time; its module is started again at once."""
        for module in self._modules.values():
            if module.kill(worker_id, "its process was killed because it did not stop a cancelled command in time"):
                return

    def queue_of(self, module_id: str) -> str | None:
        """Return the queue of a module, by its id in any letter case; ``None`` when there is no such module."""
        for module in self._modules.values():
            if module.module_id.lower() == module_id.lower() and module.settings is not None:
                return module.settings.queue
        return None

    def statuses(self) -> list[ModuleStatus]:
        """Return how every module is."""
        return [module.status() for module in self._sorted()]

    def configs(self, running_only: bool) -> list[ModuleConfig]:
        """Return the settings and pages of the modules: of all that are in order, or of those ready for work."""
        modules = [module for module in self._sorted() if module.runs or not running_only]
        return [module_config(module.settings, module.found.page) for module in modules if module.settings is not None]

    def config_of(self, module_id: str) -> ModuleConfig | None:
        """Return settings and page of a module, given in any letter case; ``None`` as for ``settings_of``."""
        module = self._named(module_id)
        return None if module is None or module.settings is None else module_config(module.settings, module.found.page)

    def descriptions(self) -> list[ModuleDescription]:
        """Return what is installed."""
        return [module_description(module.settings) for module in self._sorted() if module.settings is not None]

    def settings_of(self, module_id: str) -> ModuleSettings | None:
        """Return the settings of a module, given in any letter case; ``None``: no such module, or not in order."""
        module = self._named(module_id)
        return None if module is None else module.settings

    def obstacle(self, module_id: str) -> str:
        """Return why a module is not to be started; empty when it is, or when there is no such module."""
        module = self._named(module_id)
        return "" if module is None else module.obstacle()

    async def change_settings(self, changes: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Save settings (module id → name → value) as the user's own, and start these modules anew.

        Returns at once; what a module is doing has its time to end. The texts say what is worth knowing about the
        change. Raises ``SettingError``; then nothing has changed.
        """
        async with self._scanning:
            modules = [self._orderly(module_id) for module_id in changes]
            places = {
                module.module_id: placed(module, values)
                for module, values in zip(modules, changes.values(), strict=True)
            }
            if any(places.values()):
                await asyncio.to_thread(save, self._settings.data_dir / FILE_NAME, places)
            for found in await self._scan():
                if found.module_id in places and found.folder in self._modules:
                    why = "its settings have changed" if places[found.module_id] else "a restart was asked for"
                    await self._modules[found.folder].reload(found, why)
        return [note for module_id, values in places.items() for note in overruled(module_id, values, os.environ)]

    # --- inside -----------------------------------------------------------------------------------

    def _named(self, module_id: str) -> HostedModule | None:
        modules = self._modules.values()
        return next((module for module in modules if module.module_id.lower() == module_id.lower()), None)

    def _orderly(self, module_id: str) -> ModuleSettings:
        settings = self.settings_of(module_id)
        if settings is None:
            raise SettingError(f"No module with ID {module_id} found")
        return settings

    def _prepare(self) -> PlatformInfo:
        self._settings.modules_dir.mkdir(parents=True, exist_ok=True)
        return detect_platform()

    def _make_parts(self, machine: PlatformInfo) -> Parts:
        return Parts(
            settings=self._settings,
            machine=machine,
            installer=Installer(self._settings, machine, self._launches),
            gate=self._gate,
            routes=self._routes,
            book=self._book,
            surroundings=Surroundings(self._dispatcher, self._workers, self._launches, self._port),
        )

    def _sorted(self) -> list[HostedModule]:
        return sorted(self._modules.values(), key=lambda module: module.module_id.lower())

    async def _add(self, found: FoundModule) -> None:
        module = self._modules[found.folder] = HostedModule(found, self._parts)
        module.orphan = self._orphans.pop(module.module_id, None)
        await module.begin()
        if module.standing.state is not State.INSTALLING and module.orphan is not None:
            await self._end(module.orphan)

    def _see_routes(self) -> None:
        for module in self._modules.values():
            module.see_routes()

    async def _save_claims(self) -> None:
        if self._claims.saved == self._routes.claims:
            return
        try:
            await asyncio.to_thread(self._claims.save, self._routes.claims)
        except OSError as error:
            text = f"Whose routes are whose could not be saved: {why(error)}"
            if text != self._unsaved:  # it is tried again at every look
                self._book.add(text, "warning")
            self._unsaved = text

    async def _end_strays(self) -> None:
        """End the processes of modules that are gone, once it is known for certain that they are."""
        while self._orphans and not self._scanner.troubles:
            await self._end(self._orphans.popitem()[1])

    async def _end(self, orphan: Orphan) -> None:
        """End a process that no module takes over."""
        await asyncio.to_thread(end_launches, [orphan.note])
        await self._dispatcher.worker_gone(orphan.worker, "it is not to run any more", deliberate=True)
        self._workers.remove(orphan.worker.worker_id)
        await asyncio.to_thread(self._launches.remove, orphan.note.launch_id)

    # --- changes in the folder ------------------------------------------------------------------------

    async def _scan(self) -> list[FoundModule]:
        found = await asyncio.to_thread(self._scanner.scan)
        self._troubles.now(self._scanner.troubles)
        return found

    def _watched(self) -> list[Path]:
        """The folders whose changes matter. Blocks; raises ``OSError`` when the modules cannot be listed."""
        caring = [module.program for module in list(self._modules.values()) if module.cares_for_code]
        code = sorted({folder for program in caring for folder in program.folders})
        return [self._settings.modules_dir, *self._scanner.folders(), *map(Path, code)]

    def _watching_failed(self, failure: str) -> None:
        if not self._scanner.troubles:  # they have been told
            self._book.add(failure, "error")

    async def _look_again(self, told: set[Path]) -> None:
        """Scan until nothing is in the middle of being copied, and act on what has changed."""
        while True:
            async with self._scanning:
                await self._act(await self._scan())
                await self._end_strays()
                await self._see_code(told)
            if not self._unsettled and not any(module.is_being_written for module in self._modules.values()):
                return
            await asyncio.sleep(SETTLE_SECONDS)

    async def _see_code(self, told: set[Path]) -> None:
        """Compare the programs that may have changed with what runs; the others' one after the other, now and then."""
        self._looks += 1
        parents = {parent for path in told for parent in path.parents}
        due = [
            module
            for number, module in enumerate(self._modules.values())
            if module.cares_for_code
            and (
                module.program.folder in parents or module.is_being_written or (number + self._looks) % CODE_ROUND == 0
            )
        ]
        read = await asyncio.to_thread(lambda: [(module, module.program.read()) for module in due])
        for module, code in read:
            await module.see_code(code)

    async def _act(self, scanned: list[FoundModule]) -> None:
        found = {module.folder: module for module in scanned}
        for folder in self._modules.keys() - found.keys():
            module = self._modules.pop(folder)
            self._book.add(f"The module {module.module_id} was removed.")
            await module.remove()
            self._begin(self._tell_unused_environments())
        changed = {folder: module for folder, module in found.items() if self._has_changed(module)}
        settled = {folder for folder, module in changed.items() if self._is_settled(folder, module)}
        for folder in settled:
            await self._take(changed[folder])
        self._unsettled = {folder: module for folder, module in changed.items() if folder not in settled}
        await self._save_claims()

    def _has_changed(self, found: FoundModule) -> bool:
        module = self._modules.get(found.folder)
        if module is None or module.found.fingerprint != found.fingerprint or module.found.error != found.error:
            return True
        return module.standing.state is State.FAILED and module.failed_with != found.listing

    def _is_settled(self, folder: Path, found: FoundModule) -> bool:
        before = self._unsettled.get(folder)
        return before is not None and before.listing == found.listing

    async def _take(self, found: FoundModule) -> None:
        module = self._modules.get(found.folder)
        if module is None:
            self._book.add(f"The module {found.module_id} was added.")
            await self._add(found)
        elif module.module_id != found.module_id:
            await module.remove()
            await self._add(found)
        elif module.is_as(found):
            module.found = found  # another page, or the user's settings of other modules
        else:
            self._book.add(f"The files of the module {found.module_id} have changed.")
            await module.reload(found)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run beside everything else until it ends or the host stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_unused_environments(self) -> None:
        """Name what removed modules have left behind, each once."""
        if self._scanner.troubles:
            return
        modules = [module.found for module in self._modules.values()]
        for environment in await asyncio.to_thread(unused_environments, self._settings, modules):
            if environment not in self._told_unused:
                self._told_unused.add(environment)
                self._book.add(await asyncio.to_thread(how_to_delete, environment))

    async def _see_external(self) -> None:
        """Notice module processes that somebody starts by hand."""
        known: set[str] = set()
        while True:
            await self._workers.wait_for(lambda: bool(self._external() - known))
            for module_id in self._external() - known:
                known.add(module_id)
                for module in self._modules.values():
                    if module.module_id.lower() == module_id:
                        await module.note_external()

    def _external(self) -> set[str]:
        return {worker.module_id.lower() for worker in self._workers.all() if worker.external}
