"""One life of a module's process: from its launch, over its first answer, to its end and what remains to be tidied."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from ...commands.command import Payload, Reason
from ...commands.control import PROBE, QUIT, quit_payload
from ...commands.dispatcher import Dispatcher
from ...commands.workers import Worker, WorkerRegistry
from ...file_look import may_pass
from ..settings.macros import Macros
from ..settings.module_settings import ModuleSettings
from .adopted_process import AdoptedProcess
from .exit_hints import exit_hint, silent_hint
from .launch_environment import Launch, launch_environment
from .launch_plan import LaunchPlan
from .leftovers import LaunchNote, LaunchRecord
from .memory_watch import over_limit
from .module_log import ModuleLog
from .process import ChildProcess, describe_exit
from .recipe_fingerprint import recipe_fingerprint
from .silence import SilenceWatch

PROBE_SECONDS = 60.0
QUIT_SECONDS = 1.0
STOP_GRACE = 5.0
TERM_GRACE = 2.0
ADOPTION_SECONDS = 20.0
"""An orphan that does not come back in this time is replaced."""
_LOOK_SECONDS = 1.0

AnyProcess = ChildProcess | AdoptedProcess
Watcher = Callable[[], Awaitable[None]]


class Surroundings(msgspec.Struct, frozen=True):
    """The parts of the server that the life of a process touches. ``port`` is where the server listens."""

    dispatcher: Dispatcher
    workers: WorkerRegistry
    launches: LaunchRecord
    port: int


class End(msgspec.Struct, frozen=True):
    """How a life ended. ``deliberate``: the server wanted it, so it does not count against the module.

    ``prevented``: it could not even begin, for a reason that lies with this machine and may pass.
    """

    reason: str
    deliberate: bool = False
    prevented: bool = False
    exit_code: int | None = None


class _Cause(msgspec.Struct, frozen=True):
    """Why a life has to end. An empty reason: the process ended by itself."""

    reason: str = ""
    deliberate: bool = False
    polite: bool = False


class Orphan(msgspec.Struct, frozen=True):
    """A process that outlived the server that started it, with the worker it is known as."""

    note: LaunchNote
    worker: Worker


class Life:
    """One process of a module.

    ``on_ready`` is awaited when it has answered its first command, and whenever it says later whether it can work: with
    its reason why not, which is empty when it can, and whether that will end by itself.

    With an ``orphan`` no process is started: that one is adopted.
    """

    def __init__(
        self,
        module: ModuleSettings,
        surroundings: Surroundings,
        log: ModuleLog,
        on_ready: Callable[[str, bool], Awaitable[None]],
        orphan: Orphan | None = None,
    ) -> None:
        self._module = module
        self._around = surroundings
        self._log = log
        self._on_ready = on_ready
        self._ready = False
        self._cause: asyncio.Future[_Cause] = asyncio.get_running_loop().create_future()
        self._orphan = orphan
        self.worker = (
            orphan.worker
            if orphan is not None
            else Worker(
                worker_id=str(uuid.uuid4()),
                module_id=module.module_id,
                queue=module.queue,
                secret=secrets.token_urlsafe(32),
                parallelism=module.launch_settings.parallelism or max(1, (os.cpu_count() or 1) // 2),
            )
        )

    async def drain(self, seconds: float) -> None:
        """Let the process begin nothing more; return when it has nothing to do, its time is over, or it has ended."""
        retiring = asyncio.create_task(self._around.dispatcher.retire(self.worker, seconds))
        try:
            await asyncio.wait((retiring, self._cause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            retiring.cancel()
            await asyncio.gather(retiring, return_exceptions=True)

    def stop(self, reason: str) -> None:
        """Let the process end politely: it is asked, then told, then killed."""
        self._settle(_Cause(reason, deliberate=True, polite=True))

    def kill(self, reason: str) -> None:
        """Let the process end now, because the server wants it."""
        self._settle(_Cause(reason, deliberate=True))

    async def run(self, plan: LaunchPlan, macros: Macros) -> End:
        """Live. Returns when nothing of the process is left and its commands have been dealt with."""
        worker, launches = self.worker, self._around.launches
        self._around.workers.add(worker)
        end = End("its start was interrupted", deliberate=True)
        try:
            end = await self._run_noted(plan, macros)
        finally:
            await self._around.dispatcher.worker_gone(worker, end.reason, end.deliberate)
            self._around.workers.remove(worker.worker_id)
            with contextlib.suppress(OSError):  # a note too many does no harm: there is no such process
                await asyncio.to_thread(launches.remove, worker.worker_id)
        return end

    async def _run_noted(self, plan: LaunchPlan, macros: Macros) -> End:
        """No process without a note of it: a server that starts after this one was killed could not find it."""
        launches = self._around.launches
        try:
            if self._orphan is None:
                await asyncio.to_thread(launches.add, self._note(plan))
        except OSError as error:
            text = f"its start could not be noted in {launches.path.parent}: {error.strerror}"
            return End(text, deliberate=True, prevented=True)
        return await self._run_process(plan, macros)

    async def _run_process(self, plan: LaunchPlan, macros: Macros) -> End:
        self._log.new_process()
        try:
            process = self._adopted() or await self._start(plan, macros)
        except OSError as error:
            text = f"{plan.command[0]} cannot be run: {error.strerror}"
            return End(text, deliberate=may_pass(error), prevented=may_pass(error))
        try:
            cause = await self._watch(process)
            await self._finish(process, cause)
        finally:
            process.kill_now()
        self._log.end_of_output()
        return End(self._reason(cause, process), cause.deliberate, exit_code=process.exit_code)

    def _note(self, plan: LaunchPlan) -> LaunchNote:
        worker = self.worker
        secret = "" if self._module.published_sdk else worker.secret
        recipe = recipe_fingerprint(self._module, plan)
        return LaunchNote(worker.worker_id, worker.module_id, worker.queue, secret, recipe, began_at=time.time())

    def _adopted(self) -> AdoptedProcess | None:
        if self._orphan is None or self._orphan.note.process is None:
            return None
        self.worker.pid = self._orphan.note.process.pid
        return AdoptedProcess(self._orphan.note.process, self.worker.worker_id)

    async def _start(self, plan: LaunchPlan, macros: Macros) -> ChildProcess:
        launch = Launch(self.worker.worker_id, self.worker.secret, self._around.port)
        environment = launch_environment(self._module, launch, macros, os.environ, plan.variables)
        process = await ChildProcess.start(
            plan.command, plan.folder, environment, self._log.line, self.worker.worker_id
        )
        self.worker.pid = process.pid
        with contextlib.suppress(OSError):  # it is found by its launch id as well, but then it is not adopted
            await asyncio.to_thread(self._around.launches.started, self.worker.worker_id, process.pid)
        return process

    # --- watching -----------------------------------------------------------------------------------

    async def _watch(self, process: AnyProcess) -> _Cause:
        """Wait until there is a cause to end, or the end itself."""
        watchers: list[Watcher] = [
            partial(self._see_exit, process),
            self._see_failure,
            self._see_silence,
            self._become_ready,
        ]
        if self._module.launch_settings.memory_limit_mb > 0:
            watchers.append(partial(self._see_memory, process))
        tasks = [asyncio.create_task(self._guarded(watcher)) for watcher in watchers]
        try:
            return await asyncio.shield(self._cause)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, watcher: Watcher) -> None:
        """A watcher that breaks ends the life: nobody would notice what it no longer watches.

        It is begun only here: where the cause is there already, as with an orphan that is not taken over, none is.
        """
        try:
            await watcher()
        except Exception as error:
            self._settle(_Cause(f"the supervisor itself failed ({type(error).__name__}: {error})"))

    async def _see_exit(self, process: AnyProcess) -> None:
        await process.wait()
        self._settle(_Cause(self.worker.failure or ""))

    async def _see_failure(self) -> None:
        worker = self.worker
        await self._around.workers.wait_for(lambda: worker.failure is not None)
        self._settle(_Cause(worker.failure or ""))

    async def _see_silence(self) -> None:
        watch = SilenceWatch(time.monotonic)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.worker.heard and watch.silent(self.worker.last_contact):
                self._settle(_Cause("its process is alive but has said nothing for 30 s"))

    async def _see_memory(self, process: AnyProcess) -> None:
        limit = self._module.launch_settings.memory_limit_mb
        used = await over_limit(process.pid, limit)
        self._settle(_Cause(f"it used {used} MB of memory, more than its limit of {limit} MB (MemoryLimitMb)"))

    async def _become_ready(self) -> None:
        worker = self.worker
        seconds = self._module.contact_seconds if self._orphan is None else ADOPTION_SECONDS
        try:
            await asyncio.wait_for(self._around.workers.wait_for(lambda: worker.heard), seconds)
        except asyncio.TimeoutError:
            text = f"its process made no contact with the server within {seconds:g} s (StartTimeoutSecs)"
            self._settle(_Cause(f"{text}; {silent_hint(self._module.is_python)}"))
            return
        limit = self._module.launch_settings.start_timeout_secs or None
        try:
            ready = await asyncio.wait_for(self._until_it_answers(), limit)
        except asyncio.TimeoutError:
            text = f"its process is in contact but was not ready within {limit:g} s (StartTimeoutSecs)"
            self._settle(_Cause(f"{text}; its initialise() needs longer, or does not end"))
            return
        if ready:
            self._ready = True
            await self._follow_readiness()

    async def _follow_readiness(self) -> None:
        worker = self.worker
        while True:
            obstacle, passing = worker.obstacle, worker.passing
            await self._on_ready(obstacle, passing)
            await self._around.workers.wait_for(partial(_says_else, worker, obstacle, passing))

    async def _until_it_answers(self) -> bool:
        """Over the channel it may load its model as long as it likes, unless its settings say otherwise."""
        while not await self._answers():
            if self.worker.kind == "queue":
                # It polls only after its initialise(), so now it should answer.
                self._settle(_Cause(f"its process is in contact but answered no command within {PROBE_SECONDS:g} s"))
                return False
        return True

    async def _answers(self) -> bool:
        """Whether it answers a real command. Over the channel, none is handed out until its initialise() has ended."""
        probe = await self._around.dispatcher.control(self.worker, PROBE, Payload(), PROBE_SECONDS)
        return probe is not None and probe.reason != Reason.MODULE_LOST.value

    def _settle(self, cause: _Cause) -> None:
        if not self._cause.done():
            self._cause.set_result(cause)

    # --- ending -------------------------------------------------------------------------------------

    async def _finish(self, process: AnyProcess, cause: _Cause) -> None:
        if process.running and cause.deliberate:
            self._around.dispatcher.dismiss(self.worker, cause.reason)
        if cause.polite and process.running:
            await self._ask_to_quit(process)
        await process.stop(TERM_GRACE if cause.polite else 0.0)

    async def _ask_to_quit(self, process: AnyProcess) -> None:
        """Send Quit and give the module time to clean up; one that never made contact cannot be asked."""
        if not self.worker.heard:
            return
        dispatcher, module_id = self._around.dispatcher, self._module.module_id
        asked = asyncio.create_task(dispatcher.control(self.worker, QUIT, quit_payload(module_id), QUIT_SECONDS))
        ended = asyncio.create_task(process.wait_for(STOP_GRACE))
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and asked.result() is not None:
                await ended
        finally:
            for task in (asked, ended):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(asked, ended, return_exceptions=True)

    def _reason(self, cause: _Cause, process: AnyProcess) -> str:
        if cause.reason:
            return cause.reason
        code = process.exit_code
        if isinstance(process, AdoptedProcess):
            return "its process, taken over from an earlier server, has ended"
        serving = self._ready or self.worker.initialised
        how = f"its process ended with {describe_exit(code if code is not None else -1)}"
        said = self._log.last_error
        text = f"{how}{'' if serving else ' while it was starting'}" + (f" after it printed: {said}" if said else "")
        hint = exit_hint(code, said, serving, self._module.is_python)
        return f"{text}; {hint}" if hint else text


def _says_else(worker: Worker, obstacle: str, passing: bool) -> bool:
    return (worker.obstacle, worker.passing) != (obstacle, passing)
