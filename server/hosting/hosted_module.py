"""One module folder under the server's care: its routes, its installation, its supervisor, and how it is shown."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

import msgspec

from ..commands.routing import RouteTable
from ..commands.workers import Worker
from ..config import ServerSettings
from ..log_book import LogBook
from .catalogue import ModuleStatus, settings_summary, wire_downloads, wire_menus, wire_time
from .install.install_steps import InstallError
from .install.installer import Installer
from .preparation import Preparation
from .process.code_files import Code
from .process.launch_plan import LaunchError
from .process.life import Orphan, Surroundings
from .process.module_log import ModuleLog
from .process.program import Program
from .queue_gate import QueueGate
from .settings.module_settings import ModuleSettings
from .settings.platform_info import PlatformInfo
from .settings.route_list import lost_routes_text, routes_of
from .settings.scanner import Fingerprint, FoundModule, folder_listing
from .state import Standing, State, compatible_word
from .supervisor import Supervisor

_SEEN_SECONDS = 30.0
_INSTALL_LINES = 500
_WAITS_FOR_CODE = (State.BACKOFF, State.FAILED)
"""What does not run anyway has another chance with another program."""
_RUNS_CODE = (State.STARTING, State.NOT_READY, State.READY, *_WAITS_FOR_CODE)


class Parts(msgspec.Struct, frozen=True):
    """What all hosted modules share."""

    settings: ServerSettings
    machine: PlatformInfo
    installer: Installer
    gate: QueueGate
    routes: RouteTable
    book: LogBook
    surroundings: Surroundings


class HostedModule:
    """A module folder, from the moment it is found until it is gone."""

    def __init__(self, found: FoundModule, parts: Parts) -> None:
        self.found = found
        self._parts = parts
        self._log = ModuleLog(parts.book, found.settings.name if found.settings is not None else found.module_id)
        self._install_lines: deque[str] = deque(maxlen=_INSTALL_LINES)
        self._bringing_up: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._outdated = ""
        """Why what runs is not what its files say; empty when it is."""
        self._closing = False
        self._lost_routes = ""
        self.program = Program(lambda: self.settings)
        self.failed_with: Fingerprint = ()
        """The files of its folder when it failed; when they change, it gets another chance."""
        self.standing = Standing(self._state_changed)
        self._supervisor = Supervisor(self.standing, self._log, self.program.starting)
        self._preparation = Preparation(parts.settings, parts.machine, parts.installer, self.standing, self._installing)
        self.orphan: Orphan | None = None
        """A process of this module that outlived the last server, until it is taken over."""

    @property
    def module_id(self) -> str:
        """The module's id; the folder's name where the settings do not even tell that."""
        return self.found.module_id

    @property
    def settings(self) -> ModuleSettings | None:
        """The settings, if they are in order."""
        return self.found.settings if not self.found.error else None

    async def begin(self) -> None:
        """Register the routes, and start the module in the background unless something speaks against it."""
        self._register_routes()
        obstacle = self.obstacle()
        if self.found.error:
            await self.standing.change(State.FAILED, self.found.error)
        elif obstacle:
            await self.standing.change(State.STOPPED, obstacle)
        elif self.settings is not None and self._parts.settings.launch_modules:
            await self.standing.change(State.INSTALLING, "looking at what it needs")
            self._bringing_up = asyncio.create_task(self._bring_up(self.settings))
        elif self.settings is not None:
            self.standing.note("the server was told not to start modules (launch_modules); start it by hand")
            self._parts.gate.open(self.settings.queue, self.module_id)

    def obstacle(self) -> str:
        """Return why the module is not to be started; empty when it is."""
        module, server = self.settings, self._parts.settings
        if module is None:
            return ""
        incompatible = module.incompatibility(server.compatible_version, self._parts.machine)
        if incompatible:
            return incompatible
        if server.launch_modules and not module.auto_start:
            return "it is not started by itself (LaunchSettings.AutoStart is false)"
        return ""

    def is_as(self, found: FoundModule) -> bool:
        """Whether what was found now asks for nothing else than what was found before."""
        before = self.found
        same = (before.own, before.settings, before.error) == (found.own, found.settings, found.error)
        return same and self.standing.state is not State.FAILED

    async def reload(self, found: FoundModule, why: str = "its settings have changed") -> None:
        """Run it as its files say now. Returns at once: what it is doing may take its time to end first.

        Its queue stays open; the commands in it are served by the new process.
        """
        self.found, self._outdated = found, why
        self.failed_with = found.listing
        if self._supervisor.life is not None:
            await self.standing.change(State.STOPPING, why)
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._start_anew())

    async def remove(self) -> None:
        """Its folder is gone: stop it and forget its routes."""
        await self.stop("its folder was removed")
        self._parts.routes.remove_module(self.module_id)
        await self.standing.change(State.STOPPED, "its folder was removed")

    async def stop(self, why: str) -> None:
        """End its process, or its installation; return when nothing of it is left."""
        reloading, self._reloading = self._reloading, None
        await _end_task(reloading)
        await self._end_installation()
        await self._supervisor.stop(why)

    async def close(self) -> None:
        """Stop for good because the server ends. Commands that wait stay, for the next start."""
        self._closing = True
        await self.stop("the server is stopping")
        await self.standing.change(State.STOPPED, "the server is stopping")

    def kill(self, worker_id: str, reason: str) -> bool:
        """Kill its process if it is that worker's; it is started again at once."""
        return self._supervisor.kill(worker_id, reason)

    # --- bringing it up ---------------------------------------------------------------------------

    async def _start_anew(self) -> None:
        """End what runs and begin again, until it is what its files say."""
        while self._outdated:
            why, self._outdated = self._outdated, ""
            await self._end_installation()
            await self._supervisor.stop(why, self._parts.settings.module_drain)
            if not self._outdated:
                await self.begin()

    async def _end_installation(self) -> None:
        task, self._bringing_up = self._bringing_up, None
        await _end_task(task)

    async def _bring_up(self, module: ModuleSettings) -> None:
        try:
            await self.program.installing()
            recipe = await self._preparation.prepare(module, lives=self.orphan is not None)
        except (InstallError, LaunchError) as error:
            await self.standing.change(State.FAILED, str(error))
        except Exception as error:
            # Whatever it is, one module must not be stuck without anybody knowing why.
            await self.standing.change(State.FAILED, f"installing it failed: {type(error).__name__}: {error}")
        else:
            orphan, self.orphan = self.orphan, None
            self.program.runs_since = orphan.note.runs_since if orphan is not None else None
            self._supervisor.start(recipe, self._parts.surroundings, orphan)

    def _installing(self, line: str) -> None:
        self._install_lines.append(line)
        self.standing.note(line)
        self._log.say(line)

    def _register_routes(self) -> None:
        module, routes = self.found.settings, self._parts.routes
        if module is None:
            routes.withdraw_module(self.module_id)
        else:
            idle = bool(self.obstacle())
            routes.set_module(module.module_id, routes_of(module), idle=idle, complete=not self.found.error)

    def see_routes(self) -> None:
        """Say which of its routes lead elsewhere, whenever that has changed."""
        lost, self._lost_routes = self._lost_routes, lost_routes_text(self._parts.routes.lost(self.module_id))
        if self._lost_routes and self._lost_routes != lost:
            self._log.say(self._lost_routes, "warning")

    # --- its program ------------------------------------------------------------------------------------

    @property
    def cares_for_code(self) -> bool:
        """Whether another program on disk would make a difference now."""
        return self.standing.state in _RUNS_CODE

    @property
    def is_being_written(self) -> bool:
        """Whether its program is in the middle of being changed."""
        return self.cares_for_code and not self.program.settled

    async def see_code(self, code: Code) -> None:
        """Take in its program as it is on disk: say that it has changed, or start it anew for that."""
        settings, state = self.settings, self.standing.state
        if settings is None or not self.cares_for_code or not self.program.see(code):
            return
        server = self._parts.settings.restart_on_change
        wanted = settings.launch_settings.restart_on_change
        automatic = state in _WAITS_FOR_CODE or (server if wanted is None else wanted)
        if automatic and self.program.is_worth_a_start():
            await self.reload(self.found, f"{', '.join(self.program.changed[:3])} changed")
        else:
            self._log.say(self.program.note, "warning")

    async def _state_changed(self, state: State, reason: str) -> None:
        if state in (State.NOT_READY, State.READY, State.BACKOFF, State.FAILED):
            self.program.started()
        if state is State.FAILED:
            # What its own process wrote into the folder meanwhile is no reason to try again.
            ran = self.standing.starts > 0
            self.failed_with = await self._listing() if ran else self.found.listing
        level = {State.FAILED: "error", State.BACKOFF: "warning"}.get(state, "information")
        self._log.say(f"{state.value}: {reason}" if reason else state.value, level)
        queue = self.found.settings.queue if self.found.settings is not None else ""
        if not queue or self._closing:
            return
        if state.serves:
            self._parts.gate.open(queue, self.module_id)
        else:
            await self._parts.gate.close(queue, self.module_id, reason)

    async def _listing(self) -> Fingerprint:
        try:
            return await asyncio.to_thread(folder_listing, self.found.folder)
        except OSError:
            return self.found.listing

    # --- how it is shown -----------------------------------------------------------------------------

    @property
    def worker(self) -> Worker | None:
        """Its living process: the one that was started, else one that somebody started by hand."""
        if self._supervisor.life is not None:
            return self._supervisor.life.worker
        worker = self._parts.surroundings.workers.of_module(self.module_id)
        recent = worker is not None and worker.heard and time.monotonic() - worker.last_contact < _SEEN_SECONDS
        return worker if recent else None

    async def note_external(self) -> None:
        """A process that somebody started by hand has made contact: its queue takes commands."""
        if self.settings is not None and self._supervisor.life is None:
            self._parts.gate.open(self.settings.queue, self.module_id)

    @property
    def state(self) -> State:
        """The visible state."""
        worker = self.worker
        state = self.standing.state
        if self._supervisor.life is None and worker is not None and not state.serves:
            state = State.READY
        return State.BUSY if state is State.READY and worker is not None and worker.running else state

    @property
    def runs(self) -> bool:
        """Whether it is ready for work."""
        return self.state in (State.READY, State.BUSY)

    def status(self) -> ModuleStatus:
        """Return its wire shape in the list of states."""
        module, worker, state = self.found.settings, self.worker, self.state
        changed = self.program.changed if self._supervisor.life is not None else []
        stale = self.program.note if changed and state is not State.STOPPING else ""  # its advice is being followed
        notes = [note for note in (stale, self._lost_routes) if note]
        reason = " ".join(notes) if self.runs else self.standing.reason
        compatible = module is None or not module.incompatibility(
            self._parts.settings.compatible_version, self._parts.machine
        )
        word = compatible_word(self.standing, auto_start=module is None or module.auto_start, compatible=compatible)
        lines = [f"{module.name if module else self.module_id}: {state.value}", reason, *self._log.last_lines[-20:]]
        return ModuleStatus(
            module_id=self.module_id,
            queue=module.queue if module else "",
            name=module.name if module else self.module_id,
            version=module.version if module else "",
            category=module.publishing_info.category if module else "Other",
            started=wire_time(worker.started_at) if worker else None,
            last_seen=wire_time((worker.last_seen if worker else 0.0) or self._supervisor.last_seen),
            status="Started" if self.runs else word,
            state=state.value,
            state_reason=reason or None,
            notes=notes,
            changed=changed,
            starts_in_secs=self.standing.starts_in,
            status_data=worker.status_data if worker else None,
            request_count=self._supervisor.past_requests + (worker.request_count if worker else 0),
            downloadable_models=wire_downloads(module) if module else [],
            menus=wire_menus(module) if module else [],
            install_summary="\n".join(self._install_lines),
            startup_summary=settings_summary(module) if module else "",
            summary="\n".join(line for line in lines if line),
        )


async def _end_task(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
