"""Polling and cancelling a long command, in the words every existing page and client knows.

``POST /v1/{moduleId}/get_command_status`` and ``POST /v1/{moduleId}/cancel_command`` are answered from the command's
record: the module is never asked, so a poll costs it nothing and works after its death.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from ...commands.command import Command, CommandState, Payload, Reason, result_object
from ...commands.dispatcher import Dispatcher
from ...commands.errors import UnknownCommandError
from ...commands.reply_buffer import EventKind
from ...commands.routing import RouteTable
from ...http.bad_request import whole_number
from ...http.envelope import error, json_answer, proxy_fields
from ...http.guard import owner_of

GET_STATUS = "get_command_status"
CANCEL = "cancel_command"


class CommandPolls:
    """The two system routes that every module has."""

    def __init__(self, dispatcher: Dispatcher, routes: RouteTable) -> None:
        self._dispatcher = dispatcher
        self._routes = routes

    async def answer(self, request: web.Request, action: str, module_id: str, payload: Payload) -> web.Response:
        """Answer a poll or a cancel."""
        received = time.monotonic()
        command_id = next((item.value[0] for item in payload.values if item.key == "commandId" and item.value), "")
        if not command_id:
            return error("No command ID provided", commandStatus="unknown", moduleId=module_id, command=action)
        try:
            command = await self._dispatcher.find(command_id, owner_of(request))
            if command.module_id.lower() != module_id.lower():
                raise UnknownCommandError(command_id)
            if action == CANCEL:
                return await self._cancel(command, owner_of(request), received)
            return await self._status(command, _whole_number(payload, "after"), received)
        except UnknownCommandError as unknown:
            return error(
                str(unknown),
                code=404,
                commandId=command_id,
                commandStatus="unknown",
                moduleId=module_id,
                command=action,
            )

    async def _cancel(self, command: Command, owner: str, received: float) -> web.Response:
        already = command.ended
        command = await self._dispatcher.cancel(command.command_id, owner)
        cancelled = command.state in (CommandState.CANCELLING, CommandState.CANCELLED)
        body = {
            "success": True,
            "message": "The command had already ended" if already else "The command has been cancelled",
            "commandStatus": "cancelled" if cancelled else "completed",
            "state": command.state.value,
        }
        return json_answer({**body, **self._trailer(command, CANCEL, 200), **proxy_fields(received)})

    async def _status(self, command: Command, after: int | None, received: float) -> web.Response:
        """With ``after``, ``reply`` is only the text of later events, and ``lastSeq`` says where to go on."""
        reply = await self._dispatcher.reply(command.command_id, text=after is None)
        new = None if after is None else await self._new_text(command, after)
        body: dict[str, Any] = {"success": True, **reply.fields}
        if reply.text is not None:
            body["reply"] = reply.text
        body.update(await self._progress(command))
        body.update(new or {})
        body["state"] = command.state.value  # the true one, whatever the module calls so
        body.update(self._trailer(command, GET_STATUS, 200 if body["success"] else 500))
        return json_answer({**body, **proxy_fields(received)})

    async def _progress(self, command: Command) -> dict[str, Any]:
        if command.ended:
            return _ended(command)
        if command.state is CommandState.QUEUED:
            position = await self._dispatcher.position(command.command_id) or 0
            message = f"The command is waiting in its queue, {position} before it"
            return {"commandStatus": "running", "message": message, "queuePosition": position}
        return {"commandStatus": "running", "message": "The long running command is still in progress"}

    async def _new_text(self, command: Command, after: int) -> dict[str, Any]:
        page = await self._dispatcher.read(command.command_id, after, 0)
        events = page.events
        starts = [index for index, event in enumerate(events) if event.kind is EventKind.STARTED]
        anew = bool(starts) and events[starts[-1]].data["delivery"] > 1
        valid = events[starts[-1] :] if anew else events
        text = "".join(event.data for event in valid if event.kind is EventKind.DELTA)
        last = events[-1].seq if events else after
        return {"reply": text, "lastSeq": last, "historyGone": page.gone, "startedAnew": anew}

    def _trailer(self, command: Command, action: str, code: int) -> dict[str, Any]:
        return {
            "commandId": command.command_id,
            "moduleId": command.module_id,
            "moduleName": self._routes.module_name(command.module_id),
            "code": code,
            "command": action,
            "requestId": command.command_id,
            "inferenceDevice": command.inference_device,
        }


def _ended(command: Command) -> dict[str, Any]:
    """All final states answer ``completed``, because every existing page loops until that word."""
    result = result_object(command)
    failed = command.state in (CommandState.FAILED, CommandState.EXPIRED)
    stop_reason = "completed" if command.state is CommandState.COMPLETED else command.reason
    if command.state is CommandState.CANCELLED:
        stop_reason = "cancelled"
    fields: dict[str, Any] = {"message": "Command has completed", "error": None, "stop_reason": stop_reason, **result}
    fields["commandStatus"] = "completed"
    fields["success"] = not failed
    if failed:
        fields["error"] = command.error or fields.get("error") or "The command failed."
        fields["reason"] = command.reason or Reason.MODULE_ERROR.value
    if command.state is CommandState.CANCELLED:
        fields["stop_reason"] = "cancelled"
        fields["error"] = None
    return fields


def _whole_number(payload: Payload, name: str) -> int | None:
    for item in payload.values:
        if item.key == name and item.value and item.value[0]:
            return whole_number(item.value[0], name)
    return None
