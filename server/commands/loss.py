"""Why a worker does not go on with a command, and what becomes of its error then."""

from __future__ import annotations

import msgspec

from .command import Command, CommandState, Reason
from .workers import Worker

SERVER_STOPPED = "The server stopped before this was finished. Send it again."


class Loss(msgspec.Struct, frozen=True):
    """Why a worker does not go on with a command.

    ``detail`` says what happened. ``counted``: the command may have been the cause, so the delivery counts.
    """

    reason: Reason
    error: str
    detail: str = ""
    counted: bool = False


WITH_THE_SERVER = Loss(Reason.SERVER_RESTART, SERVER_STOPPED)
WITH_A_KILLED_SERVER = Loss(Reason.SERVER_RESTART, SERVER_STOPPED, "The server stopped as well.", counted=True)
"""After a clean stop nothing is running: what is found running was running when the server was killed."""


def lost(detail: str, counted: bool) -> Loss:
    """The loss of a command whose worker has ended by itself, or knows nothing of it."""
    return Loss(Reason.MODULE_LOST, f"The command was cut off. {detail} Send it again.", detail, counted)


def stopped(why: str, counted: bool) -> Loss:
    """The loss of a command whose worker is stopped while the server goes on."""
    because = why or "its process was told to end"
    error = f"The module was stopped before this was finished: {because}. Send it again."
    return Loss(Reason.MODULE_STOPPED, error, f"It ended: {because}.", counted)


def is_cut_off(worker: Worker, command: Command, success: bool, unfinished: bool) -> bool:
    """Whether an answer is only what there was when its worker was told to end. A cancelled command ends as that."""
    if command.control or command.state is CommandState.CANCELLING:
        return False
    if unfinished or not worker.dismissed or worker.marks_unfinished:
        return unfinished
    # This one cannot say so. A quick answer comes whole or not at all; a long one may have been cut short.
    return command.long or not success
