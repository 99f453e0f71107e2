"""The commands that the SDK answers itself about long commands, with the texts that clients know."""

from __future__ import annotations

from collections.abc import Callable

from .common import JSON
from .long_commands import CommandTable, RunningCommand
from .request_data import RequestData

NO_ID = "No command ID provided"
NONE_RUNNING = "No long running command is currently in progress"
OTHER_ID = "The command ID provided does not match the current long running command"


def command_status(data: RequestData, table: CommandTable) -> JSON:
    """Answer ``get_command_status``: how the long command named by ``commandId`` is getting on."""
    command_id = data.get_value("commandId")
    if not command_id:
        return {"success": False, "commandStatus": "unknown", "error": NO_ID}
    command = table.find(str(command_id))
    if command is None or not command.long:
        if not table.has_long():
            return {"success": False, "commandStatus": "not started", "error": NONE_RUNNING}
        return {"success": False, "commandStatus": "unknown", "error": OTHER_ID}
    return _finished(command) if command.ended else _running(command)


def cancel_command(data: RequestData, table: CommandTable, cancel: Callable[[str], bool]) -> JSON:
    """Answer ``cancel_command``: stop the long command named by ``commandId``. A finished one may be cancelled."""
    command_id = data.get_value("commandId")
    if not command_id:
        return {"success": False, "error": NO_ID}
    command = table.find(str(command_id))
    if command is None or not command.long:
        return {"success": False, "error": OTHER_ID if table.has_long() else NONE_RUNNING}
    cancel(str(command_id))
    return {
        "success": True,
        "message": "The command has been cancelled",
        "commandId": str(command_id),
        "commandStatus": "cancelled",
    }


def _running(command: RunningCommand) -> JSON:
    reply = command.data.reply
    status: JSON = {
        "success": True,
        "commandId": command.data.command_id,
        "commandStatus": "running",
        "message": "The long running command is still in progress",
    }
    if reply.text:
        status["reply"] = reply.text
    return {**status, **reply.fields}


def _finished(command: RunningCommand) -> JSON:
    reply = command.data.reply
    status: JSON = {
        "success": True,
        "commandId": command.data.command_id,
        "commandStatus": "completed",
        "message": "Command has completed",
        "error": None,
    }
    if reply.text:
        status["reply"] = reply.text
    if command.unfinished:
        status["unfinished"] = True
    return {**status, **(command.answer or {})}
