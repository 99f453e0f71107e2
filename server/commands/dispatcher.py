"""The dispatcher: what may happen to a command, and when. Every interface creates and follows commands here.

A command is submitted, waits in its queue, is claimed by a worker, and ends in exactly one final state. The
dispatcher decides the policies (who may see it, cancel deadlines, what happens when its worker dies); the broker
keeps the records and makes each change by compare-and-set.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from ..text import well_formed
from .broker import Broker, Claim
from .clock import Clock
from .command import LIVE, Change, Command, CommandState, Payload, Reason, new_command_id
from .control import CANCEL, cancel_payload, control_command
from .errors import CommandError, NotAcceptingError, StorageError, UnknownCommandError
from .loss import SERVER_STOPPED, WITH_A_KILLED_SERVER, WITH_THE_SERVER, Loss, is_cut_off, lost, stopped
from .reply_buffer import EventPage, NewEvent, Reply
from .routing import Route
from .tally import Tally
from .whole import whole
from .workers import Worker

MAX_DELIVERIES = 2
CLAIM_SECONDS = 0.1
"""A worker with room has taken a command by then."""
_MODULE_ERROR = Reason.MODULE_ERROR.value
NO_OBJECT = msgspec.Raw(b'{"success":false,"error":"The module\'s answer is not a JSON object."}')


MAX_DEVICE = 200
"""Characters of what a module says that it runs on: every poll repeats it."""


class DispatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``queue_length``: commands that may wait in one queue. The others are seconds."""

    queue_length: int = 1024
    cancel_deadline: float = 10.0


class Dispatcher:
    """Accepts, hands out, cancels and ends commands."""

    def __init__(self, broker: Broker, settings: DispatchSettings, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._broker = broker
        self._settings = settings
        self._known_long: set[tuple[str, str]] = set()
        self._closed: dict[str, CommandError] = {}
        self._deadlines: set[asyncio.Task[None]] = set()
        broker.on_unwritable(self._cut_off)
        self.tally = Tally()
        broker.on_event(self.tally.note)
        self.accepting = True
        self.on_overdue: Callable[[str], Awaitable[None]] | None = None
        """Called with the id of a worker that did not stop a cancelled command in time."""

    # --- for clients -------------------------------------------------------------------------------

    async def submit(self, route: Route, owner: str, payload: Payload, request_id: str = "") -> Command:
        """Place a request on its route's queue. ``request_id``: what its sender calls it.

        Raises ``QueueFullError``, ``NotAcceptingError`` or ``ModuleUnavailableError``; then nothing was accepted.
        """
        try:
            return await self._submit(route, owner, payload, request_id)
        except CommandError as refusal:
            self.tally.refuse(route.module_id, refusal)
            raise

    async def _submit(self, route: Route, owner: str, payload: Payload, request_id: str) -> Command:
        if not self.accepting:
            raise NotAcceptingError
        if (refusal := self._closed.get(route.queue.lower())) is not None:
            raise refusal
        command = Command(
            command_id=new_command_id(),
            module_id=route.module_id,
            queue=route.queue,
            name=route.command,
            owner=owner,
            route=route.path,
            long=route.long_running or (route.module_id, route.command) in self._known_long,
            idempotent=route.idempotent,
            created_at=self.clock.now(),
            request_id=request_id,
        )
        await self._broker.submit(command, payload, self._settings.queue_length)
        return command

    async def answer(self, command_id: str, timeout: float) -> Command:
        """Wait until the command has ended or its long process runs; after ``timeout`` seconds a quick one expires."""
        command = await self._broker.milestone(command_id, timeout)
        if command is None:
            raise UnknownCommandError(command_id)
        if command.ended or command.long:
            return command
        error = f"The request timed out (#reqid {command_id})"
        expired = await self._stop(command_id, CommandState.EXPIRED, Reason.TIMEOUT, error)
        return expired or await self.record(command_id)

    async def begun(self, command_id: str, timeout: float) -> Command:
        """Wait up to ``timeout`` seconds until a long command's process runs or has ended; not while it is queued."""
        command = await self._broker.milestone(command_id, min(timeout, CLAIM_SECONDS))
        if command is not None and command.state is not CommandState.QUEUED:
            command = await self._broker.milestone(command_id, max(0.0, timeout - CLAIM_SECONDS))
        if command is None:
            raise UnknownCommandError(command_id)
        return command

    async def find(self, command_id: str, owner: str) -> Command:
        """Return the record. Raises ``UnknownCommandError``, also for a command of somebody else."""
        command = await self._broker.get(command_id)
        if command is None or command.control or command.owner != owner:
            raise UnknownCommandError(command_id)
        return command

    async def owned(self, owner: str) -> list[Command]:
        """Return the owner's commands, newest first."""
        records = await self._broker.records()
        own = [command for command in records if command.owner == owner and not command.control]
        return sorted(own, key=lambda command: command.created_at, reverse=True)

    async def all_records(self) -> list[Command]:
        """Return the commands of all owners."""
        return [command for command in await self._broker.records() if not command.control]

    async def reply(self, command_id: str, text: bool = True) -> Reply:
        """Return text and fields so far. ``text``: whether the text is asked for."""
        reply = await self._broker.reply(command_id, text)
        if reply is None:
            raise UnknownCommandError(command_id)
        return reply

    async def position(self, command_id: str) -> int | None:
        """Return how many commands are served before this one; ``None`` when it is not waiting."""
        return await self._broker.position(command_id)

    async def read(self, command_id: str, after: int, wait: float, most: int | None = None) -> EventPage:
        """Return the events after a number, at most ``most``, waiting for the first of them."""
        page = await self._broker.read(command_id, after, wait, most)
        if page is None:
            raise UnknownCommandError(command_id)
        return page

    async def cancel(self, command_id: str, owner: str) -> Command:
        """Ask one command to stop; asking again, or after its end, changes nothing. Returns the record."""
        await self.find(command_id, owner)
        # Whole: a command that is to be stopped, and nobody sees to it, would be so for ever.
        return await whole(self._cancel(command_id, Reason.CANCELLED_BY_CLIENT))

    async def abandon(self, command_id: str) -> None:
        """The client that waited for a quick command went away: it ends here; its worker is asked to stop."""
        command = await self._broker.get(command_id)
        if command is None or command.long:
            return
        ended = await self._stop(command_id, CommandState.CANCELLED, Reason.CLIENT_GONE, None)
        if ended is not None and ended.worker_id is not None:
            await self._ask_to_stop(ended, ended.worker_id)
        await self._broker.forget(command_id)

    async def release(self, command_id: str) -> None:
        """The only reader of a quick command has its answer: drop the record."""
        command = await self._broker.get(command_id)
        if command is not None and command.ended and not command.long:
            await self._broker.forget(command_id)

    # --- for workers ------------------------------------------------------------------------------

    async def claim(self, worker: Worker, timeout: float) -> Claim | None:
        """Take the next command that a worker has room for, waiting up to ``timeout`` seconds."""
        claim = await self._broker.claim(worker.queue, worker.worker_id, worker.room, timeout)
        if claim is not None and not claim.command.control:
            worker.running[claim.command.command_id] = claim.command.long
            worker.owners[claim.command.command_id] = claim.command.owner
        return claim

    def set_room(self, worker: Worker, quick: int, long: int) -> None:
        """Say how many commands of each sort a worker can run at once."""
        running_long = sum(worker.running.values())
        worker.room.quick = quick - (len(worker.running) - running_long)
        worker.room.long = long - running_long
        self._broker.offer(worker.queue)

    async def worker_of(self, command_id: str) -> str | None:
        """Return the id of the worker that was given this command; ``None`` when it does not run."""
        command = await self._broker.get(command_id)
        return None if command is None or command.ended else command.worker_id

    async def put_back(self, worker: Worker, command_id: str, *, counted: bool = False) -> None:
        """A claimed command did not reach its worker: queue it again.

        ``counted``: it may have been the command itself that was in the way, so the delivery counts. A command that
        the worker had begun and does not know any more ends, as does one that was to be stopped.
        """
        self._release(worker, command_id)
        command = await self._broker.get(command_id)
        if command is None or command.ended:
            return
        if command.control:
            await self._broker.requeue(command_id)
        else:
            await self._lose(command_id, worker.worker_id, lost("Its process does not know it any more.", counted))

    async def refuse(self, worker: Worker, command_id: str, error: str) -> None:
        """A claimed command cannot be sent to any worker: it alone fails, at once."""
        self._release(worker, command_id)
        ended = await self._stop(command_id, CommandState.FAILED, Reason.MODULE_ERROR, error)
        if ended is not None and ended.control and ended.name == CANCEL:
            await self._broker.forget(command_id)

    async def runs(self, worker: Worker, command_id: str) -> bool:
        """Whether this worker was given the command, and has not answered it yet."""
        if command_id in worker.running:
            return True
        command = await self._broker.get(command_id)
        return command is not None and command.control and command.worker_id == worker.worker_id

    async def started_long(self, worker: Worker, command_id: str, inference_device: str) -> None:
        """``process()`` returned a callable: the command is long from now on, and on disk when this returns."""
        if worker.running.get(command_id) is False:
            worker.running[command_id] = True
            worker.room.change(False, 1)
            worker.room.change(True, -1)
            self._broker.offer(worker.queue)
        command = await self._broker.get(command_id)
        if command is None:
            return
        self._known_long.add((command.module_id, command.name))
        change = Change(long=True, started_at=self.clock.now(), inference_device=inference_device[:MAX_DEVICE])
        try:
            await self._broker.transition(command_id, {command.state} & LIVE, command.state, change)
        except StorageError as error:
            await self._cut_off([command_id], error)

    async def note_long(self, command_id: str) -> None:
        """A queued or running command has shown that its route starts long commands."""
        command = await self._broker.get(command_id)
        if command is not None:
            self._known_long.add((command.module_id, command.name))
            await self._broker.transition(command_id, {command.state} & LIVE, command.state, Change(long=True))

    async def append(self, command_id: str, events: list[NewEvent]) -> None:
        """Add a worker's events to the reply buffer."""
        await self._broker.append(command_id, events)

    async def finish(
        self, worker: Worker, command_id: str, success: bool, output: msgspec.Raw, unfinished: bool = False
    ) -> bool:
        """Take a worker's final answer; false when nobody waits for it any more.

        ``unfinished``: the worker says itself that it is not a whole one.
        """
        command = await self._broker.get(command_id)
        if command is None or command.ended or not await self.runs(worker, command_id):
            self._release(worker, command_id)
            return False
        if not _is_object(output):
            success, output = False, NO_OBJECT
        # Before anything is waited for: whoever brings this answer may go away meanwhile.
        self._release(worker, command_id)
        if is_cut_off(worker, command, success, unfinished):
            worker.room.closed = True  # it may be another than the server that told it to end
            loss = self._loss(worker.dismissed, counted=not worker.dismissed)
            await self._lose(command_id, worker.worker_id, loss)
            return True
        ended = await self._end_with_result(command_id, worker.worker_id, success, output)
        if not command.control:
            worker.request_count += 1
        elif command.name == CANCEL:
            await self._broker.forget(command_id)
        return ended is not None

    async def fail(self, command_id: str, reason: Reason, error: str) -> None:
        """End a running command whose worker cannot go on with it, and ask the worker to stop it."""
        ended = await self._stop(command_id, CommandState.FAILED, reason, error)
        if ended is not None and ended.worker_id is not None:
            await self._ask_to_stop(ended, ended.worker_id)

    async def last_n(self, command_id: str) -> int:
        """Return the highest module-side event number that arrived."""
        return await self._broker.last_n(command_id)

    async def flush(self) -> None:
        """Return when everything appended so far is on disk."""
        await self._broker.flush()

    # --- for the supervisor -------------------------------------------------------------------------

    async def control(self, worker: Worker, name: str, payload: Payload, timeout: float) -> Command | None:
        """Send one worker a control command and wait for its end; ``None`` when it did not answer in time."""
        command = control_command(worker.worker_id, worker.module_id, worker.queue, name)
        await self._broker.submit(command, payload, 0)
        ended = await self._broker.milestone(command.command_id, timeout)
        if ended is None or not ended.ended:
            late = Change(reason=Reason.TIMEOUT.value)
            await self._broker.transition(command.command_id, LIVE, CommandState.EXPIRED, late)
            ended = None
        await self._broker.forget(command.command_id)
        return ended

    def close_queue(self, queue: str, refusal: CommandError) -> None:
        """Refuse new commands on a queue, because nothing will serve it."""
        self._closed[queue.lower()] = refusal

    def open_queue(self, queue: str) -> None:
        """Accept commands on a queue again."""
        self._closed.pop(queue.lower(), None)

    async def fail_unserved(self, queues: Iterable[str]) -> None:
        """After a start: end commands that wait in queues which no module has any more."""
        served = {queue.lower() for queue in queues}
        unserved = {command.queue for command in await self._broker.records() if command.queue.lower() not in served}
        for queue in unserved:
            await self.fail_waiting(queue, Reason.MODULE_STOPPED, "The module of this command is not there any more.")

    async def fail_waiting(self, queue: str, reason: Reason, error: str) -> None:
        """End every command that waits in a queue which nothing will serve any more."""
        for command in await self._broker.records():
            if command.queue.lower() == queue.lower() and command.state is CommandState.QUEUED:
                await self._stop(command.command_id, CommandState.FAILED, reason, error)

    async def retire(self, worker: Worker, seconds: float) -> None:
        """Give a worker no more commands, and those that it runs this long to end."""
        worker.room.closed = True
        deadline = time.monotonic() + seconds
        for command_id in list(worker.running):
            await self._wait_ended(command_id, deadline)

    def dismiss(self, worker: Worker, why: str) -> None:
        """A worker's process is told to end: it gets nothing more, and what it now calls an answer may not be one."""
        worker.room.closed = True
        worker.dismissed = why

    async def worker_gone(self, worker: Worker, why: str, deliberate: bool = False) -> None:
        """A worker's process has ended: redeliver or end what it was running.

        ``deliberate``: the server stopped it, so its commands are not suspected of having killed it. (A service
        manager that stops the server may end its modules in the same moment.)
        """
        worker.room.closed = True
        is_stopped = deliberate or not self.accepting
        loss = self._loss(why) if is_stopped else lost(f"It ended: {why}.", counted=True)
        own = [c.command_id for c in await self._broker.records() if c.worker_id == worker.worker_id]
        for command_id in [*worker.running, *own]:
            self._release(worker, command_id)
            await self._lose(command_id, worker.worker_id, loss)

    async def unowned(self, workers: Iterable[Worker]) -> set[tuple[str, str | None]]:
        """Return the commands that a worker should have and none of these has, each with that worker's id."""
        known = {worker.worker_id: worker for worker in workers}
        found = set()
        for command in await self._broker.records():
            worker = known.get(command.worker_id or "")
            waits = command.state is CommandState.QUEUED and not command.control
            owned = worker is not None and (command.control or command.command_id in worker.running)
            if not (command.ended or waits or owned):
                found.add((command.command_id, command.worker_id))
        return found

    async def lose_unowned(self, command_id: str, worker_id: str | None) -> None:
        """No worker has a command that it should have: it ends, or is queued again."""
        await self._lose(command_id, worker_id, lost("No process runs it any more.", counted=True))

    async def recover(self, workers: Iterable[Worker]) -> list[Command]:
        """After a start: leave commands to the workers that outlived the last server, and settle the others.

        Returns the commands that were running on no such worker.
        """
        known = {worker.worker_id: worker for worker in workers}
        orphaned = []
        for command in await self._broker.records():
            if command.state not in (CommandState.RUNNING, CommandState.CANCELLING):
                continue
            worker = known.get(command.worker_id or "")
            if worker is None:
                orphaned.append(command)
                await self._lose(command.command_id, command.worker_id, WITH_A_KILLED_SERVER)
                continue
            worker.running[command.command_id] = True
            worker.owners[command.command_id] = command.owner
            if command.state is CommandState.CANCELLING:
                self._watch_cancel(command.command_id, worker.worker_id)
                await self._ask_to_stop(command, worker.worker_id)
        return orphaned

    async def drain(self, workers: Iterable[Worker], seconds: float) -> None:
        """Take no new commands, begin no more long ones, and give the others this long to end."""
        self.accepting = False
        for worker in workers:
            worker.room.quick_only = True
        deadline = time.monotonic() + seconds
        for command in await self._broker.records():
            waits_for_next_start = command.long and command.state is CommandState.QUEUED
            if not (command.ended or command.control or waits_for_next_start):
                await self._wait_ended(command.command_id, deadline)

    async def close(self) -> None:
        """The server ends, and its workers have: whoever still waits is answered. Stop the cancel deadlines."""
        self.accepting = False
        for command in await self._broker.records():
            if command.state in (CommandState.RUNNING, CommandState.CANCELLING):
                await self._lose(command.command_id, command.worker_id, WITH_THE_SERVER)
        for command in await self._broker.records():
            if not (command.long or command.control or command.ended):
                await self._stop(command.command_id, CommandState.FAILED, Reason.SERVER_RESTART, SERVER_STOPPED)
        for task in self._deadlines:
            task.cancel()
        await asyncio.gather(*self._deadlines, return_exceptions=True)

    # --- inside -----------------------------------------------------------------------------------------

    async def record(self, command_id: str) -> Command:
        """Return the record, whoever owns it. Raises ``UnknownCommandError``."""
        command = await self._broker.get(command_id)
        if command is None:
            raise UnknownCommandError(command_id)
        return command

    def _release(self, worker: Worker, command_id: str) -> None:
        """The worker no longer runs this command: its room is free again."""
        long = worker.running.pop(command_id, None)
        worker.owners.pop(command_id, None)
        if long is not None:
            worker.room.change(long, 1)
            self._broker.offer(worker.queue)

    async def _wait_ended(self, command_id: str, deadline: float) -> None:
        after = 0
        while (left := deadline - time.monotonic()) > 0:
            page = await self._broker.read(command_id, after, left)
            if page is None or page.ended:
                return
            after = page.events[-1].seq if page.events else after

    async def _end_with_result(
        self, command_id: str, worker_id: str, success: bool, output: msgspec.Raw
    ) -> Command | None:
        """End a command with its worker's answer. One that is being cancelled by then ends as that."""
        state, change = CommandState.COMPLETED, Change(result=output)
        if not success:
            error = _error_text(output)
            state, change = CommandState.FAILED, Change(result=output, reason=_MODULE_ERROR, error=error)
        ended = await self._broker.transition(command_id, {CommandState.RUNNING}, state, change, worker_id)
        if ended is None:
            asked, change = {CommandState.CANCELLING}, Change(result=output)
            ended = await self._broker.transition(command_id, asked, CommandState.CANCELLED, change, worker_id)
        return ended

    async def _stop(
        self,
        command_id: str,
        state: CommandState,
        reason: Reason,
        error: str | None,
        worker_id: str | None = None,
    ) -> Command | None:
        change = Change(reason=reason.value, error=None if error is None else well_formed(error))
        return await self._broker.transition(command_id, LIVE, state, change, worker_id)

    async def _cancel(self, command_id: str, reason: Reason) -> Command:
        change = Change(reason=reason.value)
        command = await self.record(command_id)
        while command.state in (CommandState.QUEUED, CommandState.RUNNING):  # it may go from one to the other meanwhile
            queued = command.state is CommandState.QUEUED
            wanted = CommandState.CANCELLED if queued else CommandState.CANCELLING
            changed = await self._broker.transition(command_id, {command.state}, wanted, change)
            if changed is not None and changed.worker_id is not None and not queued:
                self._watch_cancel(command_id, changed.worker_id)
                await self._ask_to_stop(changed, changed.worker_id)
            command = changed or await self.record(command_id)
        return command

    async def _ask_to_stop(self, command: Command, worker_id: str) -> None:
        control = control_command(worker_id, command.module_id, command.queue, CANCEL)
        await self._broker.submit(control, cancel_payload(command.command_id), 0)

    def _watch_cancel(self, command_id: str, worker_id: str) -> None:
        task = asyncio.create_task(self._enforce_cancel(command_id, worker_id))
        self._deadlines.add(task)
        task.add_done_callback(self._deadlines.discard)

    async def _enforce_cancel(self, command_id: str, worker_id: str) -> None:
        """A worker that does not stop in time is killed, which ends the command; where nobody can, it ends alone."""
        await self._wait_ended(command_id, time.monotonic() + self._settings.cancel_deadline)
        command = await self._broker.get(command_id)
        if command is None or command.ended:
            return
        if self.on_overdue is not None:
            await self.on_overdue(worker_id)
        await self._wait_ended(command_id, time.monotonic() + self._settings.cancel_deadline)
        await self._lose(command_id, worker_id, lost("It did not stop when it was asked to.", counted=False))

    async def _cut_off(self, command_ids: list[str], error: StorageError) -> None:
        """Their events cannot be kept: the running ones end, and say so. Those that wait are on disk already."""
        for command_id in command_ids:
            command = await self._broker.get(command_id)
            if command is not None and command.state is CommandState.RUNNING:
                await self.fail(command_id, Reason.STORAGE_FULL, f"The reply could not be kept. {error}")

    def _loss(self, why: str, counted: bool = False) -> Loss:
        """The loss of a command whose worker is stopped: with the server, or alone."""
        return stopped(why, counted) if self.accepting else WITH_THE_SERVER

    async def _lose(self, command_id: str, worker_id: str | None, loss: Loss) -> None:
        """Bring a command that its worker does not go on with to its end, or back into its queue."""
        # What is decided may be overtaken while it waits, by a cancel for example: then it is decided anew.
        while (command := await self._broker.get(command_id)) is not None:
            waits = command.state is CommandState.QUEUED and not command.control
            if command.ended or waits or command.worker_id != worker_id or await self._settle(command, loss):
                return

    async def _settle(self, command: Command, loss: Loss) -> bool:
        """Decide about a command as it is now; false when it is not so any more."""
        command_id, worker_id = command.command_id, command.worker_id
        state, reason, error = CommandState.FAILED, loss.reason, loss.error
        if command.control:
            await self._stop(command_id, state, Reason.MODULE_LOST, loss.detail or loss.error)
            await self._broker.forget(command_id)
            return True
        if command.state is CommandState.CANCELLING:
            state, error = CommandState.CANCELLED, ""
            reason = Reason(command.reason) if command.reason else Reason.CANCELLED_BY_CLIENT
        elif loss.counted and command.deliveries >= MAX_DELIVERIES:
            reason = Reason.POISON
            error = f"The module stopped {command.deliveries} times while running this command. {loss.detail}"
        elif await self._may_run_again(command):
            return await self._broker.requeue(command_id, counted=loss.counted, worker_id=worker_id)
        change = Change(reason=reason.value, error=well_formed(error) or None)
        return await self._broker.transition(command_id, {command.state}, state, change, worker_id) is not None

    async def _may_run_again(self, command: Command) -> bool:
        """Redelivery is invisible only when no text was delivered; otherwise the route must allow it."""
        reply = await self._broker.reply(command.command_id, False)
        return command.idempotent or reply is None or not reply.text_length


def _is_object(output: msgspec.Raw) -> bool:
    """Whether JSON is an object, by its first character: the rest may be large."""
    head = bytes(memoryview(output)[:64]).lstrip() or bytes(output).lstrip()
    return head.startswith(b"{")


def _error_text(output: msgspec.Raw) -> str:
    try:
        answer = msgspec.json.decode(output)
    except (msgspec.DecodeError, RecursionError):
        answer = None
    text = answer.get("error") if isinstance(answer, dict) else None
    return str(text) if text else "The module reported an error without a text."
