"""Control commands: what the server itself asks of one worker, ahead of all work."""

from __future__ import annotations

from codeproject_ai_sdk.protocol import NamedValue

from .command import Command, Payload, new_command_id

CANCEL = "cancel_command"
PROBE = "get_command_status"
QUIT = "Quit"


def control_command(worker_id: str, module_id: str, queue: str, name: str) -> Command:
    """Return a control command for one worker; nobody owns it and no client sees it."""
    return Command(
        command_id=new_command_id(),
        module_id=module_id,
        queue=queue,
        name=name,
        owner="",
        worker_id=worker_id,
        control=True,
    )


def cancel_payload(command_id: str) -> Payload:
    """Return what a cancel request carries: the command to stop."""
    return Payload([NamedValue("commandId", [command_id])])


def quit_payload(module_id: str) -> Payload:
    """Return what a quit request carries: the module it is meant for."""
    return Payload([NamedValue("moduleId", [module_id])])
