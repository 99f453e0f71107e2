"""Keeping one module alive: started, started again when it dies, stopped when it should not run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec

from .install.install_steps import InstallError
from .process.launch_plan import LaunchPlan
from .process.life import End, Life, Orphan, Surroundings
from .process.module_log import ModuleLog
from .process.recipe_fingerprint import recipe_fingerprint
from .restart_policy import RestartPolicy
from .settings.macros import Macros
from .settings.module_settings import ModuleSettings
from .state import Standing, State

PREVENTED_SECONDS = 5.0
"""How long to wait when the machine, and not the module, was the reason that it could not be started."""


class Recipe(msgspec.Struct, frozen=True):
    """What the supervisor starts, again and again.

    ``renew`` is asked before every start but the first, and returns what to start; it may take as long as an
    installation, and raises ``InstallError`` when nothing can be started.
    """

    module: ModuleSettings
    plan: LaunchPlan
    macros: Macros
    renew: Callable[[Recipe, End], Awaitable[Recipe]] | None = None


class Supervisor:
    """The life of one module, as a series of lives of its process. ``standing`` shows what goes on.

    ``beginning`` is awaited before each process: a state alone does not tell, a module can be *Starting* again.
    """

    def __init__(self, standing: Standing, log: ModuleLog, beginning: Callable[[], Awaitable[None]]) -> None:
        self.standing = standing
        self._log = log
        self._beginning = beginning
        self._policy = RestartPolicy(time.monotonic, lambda: random.uniform(-1, 1))
        self._task: asyncio.Task[None] | None = None
        self._life: Life | None = None
        self._stopping = asyncio.Event()
        self.past_requests = 0
        """Answered by its processes that have ended."""
        self.last_seen = 0.0
        """When one of these was heard of last, in seconds since the epoch; 0 is never."""

    def start(self, recipe: Recipe, surroundings: Surroundings, orphan: Orphan | None = None) -> None:
        """Start the module, or go on with an orphan, and keep it alive from now on. It must not be running."""
        self._stopping = asyncio.Event()
        self._policy.reset()
        self._task = asyncio.create_task(self._keep_alive(recipe, surroundings, orphan))

    async def stop(self, reason: str = "", drain: float = 0.0) -> None:
        """Stop the process and whatever it started; return when nothing is left. The state is the caller's to set.

        ``drain``: seconds that what it is doing has to end, while nothing new is given to it. When this is cancelled,
        the next call goes on with it.
        """
        task, life = self._task, self._life
        if task is None:
            return
        self._stopping.set()
        if life is not None:
            if self.standing.state is not State.STOPPING:
                await self.standing.change(State.STOPPING, reason)
            if drain > 0:
                await life.drain(drain)
            life.stop(reason or "the server stopped it")
        try:
            await asyncio.shield(task)
        finally:
            if task.done():
                self._task = None

    def kill(self, worker_id: str, reason: str) -> bool:
        """Kill the process of a worker, to be started again at once; false when it is not this module's."""
        if self._life is None or self._life.worker.worker_id != worker_id:
            return False
        self._life.kill(reason)
        return True

    @property
    def life(self) -> Life | None:
        """The present life of its process."""
        return self._life

    async def _keep_alive(self, recipe: Recipe, surroundings: Surroundings, orphan: Orphan | None) -> None:
        while not self._stopping.is_set():
            end = await self._live_once(recipe, surroundings, orphan)
            orphan = None
            if self._stopping.is_set():
                return
            if end.prevented:
                if not await self._back_off(end.reason, PREVENTED_SECONDS):
                    return
            elif end.deliberate:
                self._policy.stopped()
                self._log.say(f"Started again: {end.reason}.", "warning")
            elif not await self._wait_for_next_start(end):
                return
            renewed = await self._renewed(recipe, end)
            if renewed is None:
                return
            recipe = renewed

    async def _renewed(self, recipe: Recipe, end: End) -> Recipe | None:
        """What to start next; ``None`` when nothing can be started, or nothing should be any more."""
        if recipe.renew is None:
            return recipe
        renewing = asyncio.ensure_future(recipe.renew(recipe, end))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((renewing, stopping), return_when=asyncio.FIRST_COMPLETED)
            return renewing.result() if renewing.done() else None
        except InstallError as error:
            await self.standing.change(State.FAILED, str(error))
            return None
        except Exception as error:
            # Whatever it is, the module must not be stuck without anybody knowing why.
            text = f"preparing its next start failed: {type(error).__name__}: {error}"
            await self.standing.change(State.FAILED, text)
            return None
        finally:
            for task in (renewing, stopping):
                task.cancel()
            await asyncio.gather(renewing, stopping, return_exceptions=True)

    async def _live_once(self, recipe: Recipe, surroundings: Surroundings, orphan: Orphan | None) -> End:
        life = self._life = Life(recipe.module, surroundings, self._log, self._ready, orphan)
        try:
            if orphan is not None:
                fits = orphan.note.recipe == recipe_fingerprint(recipe.module, recipe.plan)
                self._log.say("Its process outlived the last server" + (" and is taken over" if fits else ""))
                if not fits:
                    life.kill("its settings have changed since it was started")
            await self._beginning()
            await self.standing.change(State.STARTING)
            return await life.run(recipe.plan, recipe.macros)
        finally:
            self.past_requests += life.worker.request_count
            self.last_seen = life.worker.last_seen or self.last_seen
            self._life = None

    async def _ready(self, obstacle: str, passing: bool) -> None:
        self._policy.ready()
        if self._stopping.is_set():
            return
        state = State.READY if not obstacle else State.STARTING if passing else State.NOT_READY
        if state is State.STARTING and self.standing.state is state:
            self.standing.note(obstacle)  # progress of what it waits for
        else:
            await self.standing.change(state, obstacle)

    async def _wait_for_next_start(self, end: End) -> bool:
        """After an end of its own: wait as long as the policy says; false when it gives up or is stopped."""
        delay = self._policy.ended()
        if delay is None:
            await self.standing.change(State.FAILED, f"{end.reason}; this happened {self._often}, so it stays stopped")
            return False
        return await self._back_off(end.reason, delay)

    async def _back_off(self, reason: str, delay: float) -> bool:
        await self.standing.change(State.BACKOFF, f"{reason}; it is started again after {delay:.0f} s", delay)
        try:
            await asyncio.wait_for(self._stopping.wait(), delay)
        except asyncio.TimeoutError:
            return True
        return False

    @property
    def _often(self) -> str:
        return f"{self._policy.failures} times in a row" if self._policy.failures >= 5 else "too often in 30 minutes"
