"""Every message of the channel between a module process and the server. No I/O.

The channel is one WebSocket. Every message is one line of JSON with a ``type`` key; a text frame holds one message or
several. The files of a ``command`` message follow its frame as binary frames, one for each file whose ``path`` is null,
in order; such a message is the last one of its frame.

========== ==================== =====================================================================
direction  type                 meaning
========== ==================== =====================================================================
to server  ``hello``            first message: who is calling, and which commands it still runs
to server  ``ready``            ``initialise()`` has ended: commands may come
to server  ``started``          ``process()`` returned a callable: this is now a long command
to server  ``events``           text deltas and named fields for a command's reply buffer
to server  ``result``           the command's final answer
to server  ``status``           what ``module_status()`` and the statistics say, every few seconds
to server  ``log``              one log entry
to server  ``heartbeat``        the process is alive; sent by the I/O thread, never by the model's
to module  ``welcome``          the hello was accepted; for each resumed command, what has arrived
to module  ``refused``          the hello was not accepted; the module must exit
to module  ``command``          run this
to module  ``cancel``           stop this command as soon as possible
to module  ``ack``              everything up to number ``n`` of this command has arrived
to module  ``quit``             clean up and exit
========== ==================== =====================================================================

Events and the result of one command share one numbering ``n`` = 1, 2, 3 …; the module keeps what is not
acknowledged and sends it again after a reconnect, the server drops the numbers it has already seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Union

import msgspec

VERSION = 1
"""Version of this protocol; a server refuses a module that speaks another one."""

CHANNEL_PATH = "/v1/channel"
MAX_INLINE_FILE = 1024 * 1024
"""Bytes; a larger file travels as a path on the same host, a smaller one as a binary frame."""

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of a message to a server that does not say how long one may be."""

ENVELOPE = 4096
"""Bytes that a message has at most besides the result or the fields in it."""

MAX_SHARED_FRAME = 256 * 1024
"""Bytes; a message that would make a frame longer than this begins a new one."""


class NamedValue(msgspec.Struct, frozen=True):
    """One request value: a name and all the strings the client sent for it."""

    key: str
    value: list[str]


class FileHeader(msgspec.Struct, frozen=True):
    """One uploaded file. ``path`` is null when the bytes follow as a binary frame."""

    name: str
    filename: str
    content_type: str | None
    size: int
    path: str | None


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """Text appended to the reply."""

    text: str


class Fields(msgspec.Struct, frozen=True, tag="fields"):
    """Named values that a poll shows from now on; a later value replaces an earlier one."""

    values: dict[str, Any]


ReplyEvent = Union[Delta, Fields]  # noqa: UP007  (msgspec reads this at run time on Python 3.10)


class Resume(msgspec.Struct, frozen=True):
    """A command that the module still runs, or whose last events were never acknowledged."""

    command_id: str
    last: int


class Hello(msgspec.Struct, frozen=True, omit_defaults=True, tag="hello"):
    """``parallelism``: quick commands at once; ``long_parallelism``: long commands at once.

    ``marks_unfinished``: the results of this process say when they are not whole (see ``Result``).
    """

    version: int
    module_id: str
    launch_id: str
    secret: str
    pid: int
    sdk: str
    parallelism: int
    long_parallelism: int
    resumes: list[Resume] = []
    marks_unfinished: bool = False


class Ready(msgspec.Struct, frozen=True, tag="ready", omit_defaults=True):
    """``initialise()`` has ended. Carries the parallelism again because a module may change it there.

    Sent once more whenever ``obstacle`` changes: why the module cannot do its work yet, empty when it can. ``passing``:
    that will end by itself.
    """

    parallelism: int
    long_parallelism: int
    obstacle: str = ""
    passing: bool = False


class Started(msgspec.Struct, frozen=True, tag="started"):
    """``process()`` returned a callable. ``inference_device`` is what the module runs on, e.g. ``CPU``."""

    command_id: str
    inference_device: str = "CPU"


class Events(msgspec.Struct, frozen=True, tag="events"):
    """``first`` is the number of the first event in the list; the others follow without a gap."""

    command_id: str
    first: int
    events: list[ReplyEvent]


class Result(msgspec.Struct, frozen=True, omit_defaults=True, tag="result"):
    """The final answer: ``output`` is a JSON object, kept as the module wrote it.

    ``unfinished``: only what there was when the process was told to end; the command itself was not cancelled.
    """

    command_id: str
    n: int
    success: bool
    output: msgspec.Raw
    unfinished: bool = False


class Status(msgspec.Struct, frozen=True, tag="status"):
    """The module's status data, a JSON object."""

    data: msgspec.Raw


class Log(msgspec.Struct, frozen=True, tag="log"):
    """One log entry; ``level`` is trace, debug, information, warning, error or critical."""

    entry: str
    level: str = "information"
    category: str = ""
    label: str = ""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The process is alive."""


class Welcome(msgspec.Struct, frozen=True, omit_defaults=True, tag="welcome"):
    """``known``: for each resumed command the server still runs, the last number it has.

    ``most``: bytes of a message to the server. A longer one is lost, and its command fails.
    """

    version: int
    known: list[Resume] = []
    most: int = MAX_MESSAGE


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why the hello was not accepted."""

    reason: str


class Command(msgspec.Struct, frozen=True, omit_defaults=True, tag="command"):
    """Run this. Binary frames follow for each file without a path."""

    command_id: str
    name: str
    values: list[NamedValue]
    files: list[FileHeader]
    segments: list[str]
    request_id: str = ""
    """What the client, or the server for it, calls the HTTP request."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop this command."""

    command_id: str


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """Everything of this command up to number ``n`` has arrived."""

    command_id: str
    n: int


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """Clean up and exit."""


ToServer = Union[Hello, Ready, Started, Events, Result, Status, Log, Heartbeat]  # noqa: UP007
ToModule = Union[Welcome, Refused, Command, Cancel, Ack, Quit]  # noqa: UP007

_encoder = msgspec.json.Encoder()
_to_server: msgspec.json.Decoder[ToServer] = msgspec.json.Decoder(ToServer)
_to_module: msgspec.json.Decoder[ToModule] = msgspec.json.Decoder(ToModule)


def encode(message: ToServer | ToModule) -> bytes:
    """Return the line of a message, without its end, as bytes."""
    line = _encoder.encode(message)
    # Only JSON that somebody else wrote can have line breaks, and there only between its tokens.
    return line.replace(b"\n", b" ") if b"\n" in line else line


def frames(messages: Iterable[ToServer | ToModule]) -> Iterator[bytes]:
    """Return the text frames of messages: as few as can be, because each costs a system call at both ends."""
    return shared_frames(encode(message) for message in messages)


def shared_frames(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Return the text frames of messages that have been encoded already."""
    lines: list[bytes] = []
    size = 0
    for line in encoded:
        if lines and size + len(line) > MAX_SHARED_FRAME:
            yield b"\n".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield b"\n".join(lines)


def decode_to_server(frame: bytes | str) -> ToServer:
    """Read a line that a module sent. Raises ``msgspec.DecodeError`` when it is not one of the messages."""
    return _to_server.decode(frame)


def decode_to_module(frame: bytes | str) -> ToModule:
    """Read a line that the server sent. Raises ``msgspec.DecodeError`` when it is not one of the messages."""
    return _to_module.decode(frame)
