"""What can be wrong with a request to the heart; the API layer turns each into its wire form."""

from __future__ import annotations


class CommandError(Exception):
    """Base of the refusals a client can cause. The text says what to do."""


class UnknownCommandError(CommandError):
    """No such command, or it belongs to another owner: the two must look the same."""

    def __init__(self, command_id: str) -> None:
        super().__init__(
            f"There is no command with the id '{command_id}'. It may have ended long ago; start a new one."
        )
        self.command_id = command_id


class QueueFullError(CommandError):
    """The queue holds as many commands as it may, or all commands together so many bytes (``held``) as they may."""

    def __init__(self, queue: str, length: int, retry_after: int, held: int = 0) -> None:
        full = f"Request queue '{queue}' is full ({length} commands are waiting)."
        if held:
            full = f"The values of the commands that wait and run take {held} bytes, no more fit (max_waiting_bytes)."
        super().__init__(f"{full} Try again in {retry_after} s.")
        self.queue = queue
        self.length = length
        self.retry_after = retry_after


class NotAcceptingError(CommandError):
    """The server is shutting down."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down and takes no new commands. Try again when it is back.")


class ModuleUnavailableError(CommandError):
    """Nothing serves this route now, and nothing will until somebody acts."""

    def __init__(self, module_id: str, why: str) -> None:
        super().__init__(f"The module '{module_id}' is not running: {why}")
        self.module_id = module_id


class StorageError(CommandError):
    """What must be on disk cannot be written: the disk is ``full``, or what is there already is ``damaged``."""

    def __init__(self, folder: str, why: str, *, damaged: bool = False, full: bool = False) -> None:
        remedy = "Look at the disk and at the folder's rights, then try again."
        if full:
            remedy = "Free some space there, then try again."
        elif damaged:
            remedy = "Start the server again: what can still be read is kept, and the rest is set aside."
        super().__init__(f"The server cannot write to {folder}: {why}. {remedy}")
