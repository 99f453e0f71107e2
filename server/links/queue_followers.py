"""Long commands of modules on the published SDK, made equal to all others.

Such a module keeps one reply for one long command at a time and tells it only when asked. So the server asks, turns
what has grown into events of the command's own reply buffer, and holds further long commands back meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from codeproject_ai_sdk.protocol import NamedValue

from ..commands.command import Payload, Reason, result_object
from ..commands.control import PROBE
from ..commands.dispatcher import Dispatcher
from ..commands.errors import UnknownCommandError
from ..commands.reply_buffer import EventKind, NewEvent
from ..commands.workers import Worker

ASK_SECONDS = 0.2
ASK_TIMEOUT_SECONDS = 10.0
BUSY_TEXT = "A long running command is already in progress"
_WRAPPER = {
    "success",
    "error",
    "message",
    "code",
    "command",
    "commandId",
    "commandStatus",
    "moduleId",
    "moduleName",
    "requestId",
    "inferenceDevice",
    "unfinished",
}
_NOT_ITS_OWN = {"requestId", "command", "commandId", "unfinished"}


class QueueLongCommands:
    """Follows the running long command of each module."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._following: dict[str, dict[str, asyncio.Task[None]]] = {}

    def count(self, worker: Worker) -> int:
        """Return how many long commands of this worker are being followed."""
        return len(self._following.get(worker.worker_id, {}))

    async def refused_as_busy(self, worker: Worker, command_id: str, output: dict[str, Any]) -> bool:
        """Whether the module refused a command only because another long one runs: then it is queued again."""
        if output.get("success") or output.get("error") != BUSY_TEXT or not self.count(worker):
            return False
        await self._dispatcher.note_long(command_id)
        await self._dispatcher.put_back(worker, command_id)
        return True

    async def follow(self, worker: Worker, command_id: str, inference_device: str) -> None:
        """A long command has started: keep its reply buffer up to date until it ends."""
        await self._dispatcher.started_long(worker, command_id, inference_device)
        self._begin(worker, command_id, "", {})

    async def go_on(self, worker: Worker) -> None:
        """A process that outlived the last server polls again: follow what it was running then."""
        for command_id in list(worker.running):
            with contextlib.suppress(UnknownCommandError):
                if (await self._dispatcher.record(command_id)).started_at is not None:
                    reply = await self._dispatcher.reply(command_id)
                    self._begin(worker, command_id, reply.text or "", dict(reply.fields))

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for by_command in self._following.values() for task in by_command.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, worker: Worker, command_id: str, text: str, fields: dict[str, Any]) -> None:
        """Follow a command whose text and fields are known so far."""
        task = asyncio.create_task(self._follow(worker, command_id, text, fields))
        tasks = self._following.setdefault(worker.worker_id, {})
        tasks[command_id] = task
        task.add_done_callback(lambda _: tasks.pop(command_id, None))

    async def _follow(self, worker: Worker, command_id: str, text: str, fields: dict[str, Any]) -> None:
        payload = Payload([NamedValue("commandId", [command_id])])
        while await self._still_runs(command_id):
            answered = await self._dispatcher.control(worker, PROBE, payload, ASK_TIMEOUT_SECONDS)
            if answered is not None and answered.reason == Reason.MODULE_ERROR.value and answered.result is None:
                # What it said could not be taken, and it would say no less the next time.
                await self._dispatcher.fail(command_id, Reason.MODULE_ERROR, answered.error or "")
                return
            if answered is None or answered.result is None:
                await asyncio.sleep(ASK_SECONDS)
                continue
            answer = result_object(answered)
            text, fields = await self._pass_on(command_id, answer, text, fields)
            if answer.get("commandStatus") != "running":
                await self._end(worker, command_id, answer)
                return
            await asyncio.sleep(ASK_SECONDS)

    async def _still_runs(self, command_id: str) -> bool:
        try:
            return not (await self._dispatcher.record(command_id)).ended
        except UnknownCommandError:
            return False

    async def _pass_on(
        self, command_id: str, answer: dict[str, Any], text: str, fields: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Append what is new in an answer; return text and fields as they are now."""
        events = []
        reply = answer.get("reply")
        if isinstance(reply, str) and reply.startswith(text) and (reply != text or not text):
            events.append(NewEvent(EventKind.DELTA, reply[len(text) :]))
            text = reply
        now = {key: value for key, value in answer.items() if key not in _WRAPPER and key != "reply"}
        changed = {key: value for key, value in now.items() if key not in fields or fields[key] != value}
        if changed:
            events.append(NewEvent(EventKind.FIELDS, changed))
        if events:
            await self._dispatcher.append(command_id, events)
        return text, {**fields, **changed}

    async def _end(self, worker: Worker, command_id: str, answer: dict[str, Any]) -> None:
        success = bool(answer.get("success")) and answer.get("commandStatus") == "completed"
        unfinished = answer.get("unfinished") is True
        output = {key: value for key, value in answer.items() if key not in _NOT_ITS_OWN}
        result = msgspec.Raw(msgspec.json.encode(output))
        await self._dispatcher.finish(worker, command_id, success, result, unfinished)
