"""The command record: one request to a module, from its acceptance to its end."""

from __future__ import annotations

import enum
import time
from typing import Any

import msgspec
from codeproject_ai_sdk.protocol import NamedValue

from ..random_ids import RandomIds


class CommandState(str, enum.Enum):
    """Where a command is in its life. Transitions are one-way and made by the broker's compare-and-set."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether this state is final."""
        return self in ENDED


ENDED = frozenset({CommandState.COMPLETED, CommandState.FAILED, CommandState.CANCELLED, CommandState.EXPIRED})
LIVE = frozenset({CommandState.QUEUED, CommandState.RUNNING, CommandState.CANCELLING})


class Reason(str, enum.Enum):
    """Why a command did not end as ``completed``; the machine-readable half of its error."""

    MODULE_ERROR = "module_error"
    MODULE_LOST = "module_lost"
    MODULE_STOPPED = "module_stopped"
    POISON = "poison"
    TIMEOUT = "timeout"
    CANCELLED_BY_CLIENT = "cancelled_by_client"
    CLIENT_GONE = "client_gone"
    SERVER_RESTART = "server_restart"
    STORAGE_FULL = "storage_full"


class UploadedFile(msgspec.Struct, frozen=True):
    """One file of a request: its bytes when small, the path of its spool file when large."""

    name: str
    filename: str
    content_type: str | None
    size: int
    data: bytes | None = None
    path: str | None = None


class Payload(msgspec.Struct, frozen=True):
    """What the client sent: values in order, files in order, and what followed the route in the path."""

    values: list[NamedValue] = []
    files: list[UploadedFile] = []
    segments: list[str] = []


class Command(msgspec.Struct, kw_only=True):
    """One request placed on a queue. Changed only by its broker; everybody else gets copies or reads.

    Times are those of ``clock.py``. ``result`` is the module's final JSON object, byte for byte.
    """

    command_id: str
    module_id: str
    queue: str
    name: str
    owner: str
    route: str = ""
    state: CommandState = CommandState.QUEUED
    long: bool = False
    """Its record is on disk; it goes on when its client leaves, and can be polled."""
    idempotent: bool = False
    request_id: str = ""
    """What its sender calls the request."""
    worker_id: str | None = None
    """The module process that runs it, or, for a control command, the only one that may take it."""
    control: bool = False
    """For one worker, ahead of all work and whatever its capacity: cancel, quit, probe."""
    deliveries: int = 0
    created_at: float = msgspec.field(default_factory=time.time)
    started_at: float | None = None
    """When the module said that its long process runs; ``None`` for a quick command."""
    ended_at: float | None = None
    inference_device: str = "CPU"
    reason: str | None = None
    error: str | None = None
    result: msgspec.Raw | None = None

    @property
    def ended(self) -> bool:
        """Whether the command is in a final state."""
        return self.state.ended


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """What a transition sets beside the state; ``UNSET`` leaves a value as it is."""

    long: bool | msgspec.UnsetType = msgspec.UNSET
    deliveries: int | msgspec.UnsetType = msgspec.UNSET
    started_at: float | msgspec.UnsetType | None = msgspec.UNSET
    inference_device: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    error: str | msgspec.UnsetType | None = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType | None = msgspec.UNSET


_RANDOM = RandomIds(32)


def new_command_id() -> str:
    """Return an id that cannot be guessed, because for anonymous users the id is the key to the reply.

    It is a UUID of version 4.
    """
    hexadecimal = _RANDOM.draw()
    variant = "89ab"[int(hexadecimal[16], 16) & 3]
    parts = hexadecimal[:8], hexadecimal[8:12], f"4{hexadecimal[13:16]}", variant + hexadecimal[17:20], hexadecimal[20:]
    return "-".join(parts)


def result_object(command: Command) -> dict[str, Any]:
    """Return the module's final JSON object as a dict; empty when there is none."""
    if command.result is None:
        return {}
    try:
        value = msgspec.json.decode(command.result)
    except RecursionError:
        return {"error": "The module's answer is nested too deeply to be shown."}
    return value if isinstance(value, dict) else {"result": value}
