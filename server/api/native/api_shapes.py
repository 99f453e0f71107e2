"""What the routes take and answer, as types: ``/openapi.json`` is made of them. There may be further fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ...hosting.catalogue import ModuleConfig, ModuleDescription, ModuleStatus

Whole = Annotated[int, Meta(ge=0, le=999_999_999_999_999)]
State = Literal["queued", "running", "cancelling", "completed", "failed", "cancelled", "expired"]
Id = Annotated[str, Meta(min_length=1)]


class Said(Struct, kw_only=True):
    """What every answer of the server itself says."""

    success: bool
    code: int
    hostname: str


class Failed(Said, kw_only=True):
    """An error: ``error`` says what to do."""

    success: Literal[False]
    error: str | None


class Done(Said, kw_only=True):
    """It was done."""

    message: str | msgspec.UnsetType = msgspec.UNSET


class Index(Said, kw_only=True):
    """Where to begin."""

    message: str
    millrace: str
    addresses: dict[str, str]


class Version(Struct, kw_only=True, rename="camel"):
    """A version in the form that clients read."""

    major: int
    minor: int
    patch: int
    build: int
    pre_release: str | None
    security_update: bool


class Ping(Said, kw_only=True):
    """The version that modules and clients check against; ``millrace``: that of the server."""

    message: str
    version: Version
    millrace: str


class Update(Said, kw_only=True, rename="camel"):
    """Whether there is a newer version."""

    message: str
    update_available: bool
    current: Version
    latest: Version


class Load(Struct, kw_only=True, rename="camel"):
    """Load and memory of the machine. ``loop_lag_p99_ms``: how late the event loop is, in milliseconds."""

    cpu_usage: int
    system_mem_usage: int
    server_status: str
    loop_lag_p99_ms: float | None


class SystemStatus(Said, kw_only=True):
    """The load."""

    data: Load


class LogEntry(Struct, kw_only=True):
    """One line of the log."""

    id: int
    timestamp: str
    entry: str
    level: str
    category: str
    label: str


class LogEntries(Said, kw_only=True):
    """Lines of the log, oldest first."""

    entries: list[LogEntry]


class LogQuery(Struct):
    """Which lines."""

    last_id: Whole = 0
    count: Whole = 10


class NewLogEntry(Struct):
    """A line for the log."""

    entry: str
    category: str = "Module"
    label: str = ""
    log_level: str = "information"


class Who(Said, kw_only=True, rename="camel"):
    """Who the server takes the caller for."""

    owner: str | None
    way: str
    administrator: bool
    key_needed: bool


class Key(Struct):
    """A log-in."""

    key: str


class Statuses(Said, kw_only=True):
    """How every module is."""

    statuses: list[ModuleStatus]


class Configs(Said, kw_only=True):
    """Settings, routes and pages of modules."""

    modules: list[ModuleConfig]


class Descriptions(Said, kw_only=True):
    """Which modules are installed."""

    modules: list[ModuleDescription]


class Pages(Said, kw_only=True, rename="camel"):
    """The pages of the modules that run."""

    ui_insertions: list[dict[str, Any]]


class ModuleSettings(Said, kw_only=True, rename="camel"):
    """A module's settings. Keys and passwords are not shown."""

    settings: dict[str, Any]
    environment_variables: dict[str, Any]


class Setting(Struct):
    """One setting."""

    name: str
    value: str


class CommandSummary(Struct, kw_only=True):
    """A command without what may be large. Times are seconds since the epoch."""

    id: str
    module: str
    route: str
    command: str
    request_id: str
    state: State
    reason: str | None
    error: str | None
    long: bool
    position: int | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    text_length: int


class CommandView(CommandSummary, kw_only=True):
    """A command with its text and fields so far, and its result."""

    text: str | None
    fields: dict[str, Any]
    last_seq: int
    result: Any


class Commands(Struct, kw_only=True):
    """Own commands, newest first."""

    total: int
    commands: list[CommandSummary]


class CommandsQuery(Struct):
    """Which of them. ``state``: ``live``, ``ended``, or states separated by commas."""

    offset: Whole = 0
    limit: Whole = 50
    state: str = ""
    brief: Literal["true", "false"] = "false"


class Event(Struct, kw_only=True):
    """One event of a reply; ``data`` has ``text`` for a ``delta``."""

    seq: int
    event: Literal["queued", "started", "delta", "fields", "result", "error", "cancelled"]
    data: Any


class Events(Struct, kw_only=True):
    """Events of a reply. ``gone``: earlier ones are no longer kept."""

    events: list[Event]
    ended: bool
    gone: bool


class EventsQuery(Struct):
    """``after``: the number of the last event that is known; ``wait``: seconds to wait for the first."""

    after: Whole = 0
    wait: Annotated[float, Meta(ge=0, le=60)] = 0


class Poll(Struct, rename="camel"):
    """Which command. ``after``: see the events."""

    command_id: str


class ModuleAnswer(Struct, kw_only=True):
    """What a module answers, or what its long command is called."""

    success: bool


class QueueQuery(Struct, rename="camel"):
    """Which module polls."""

    module_id: Id
