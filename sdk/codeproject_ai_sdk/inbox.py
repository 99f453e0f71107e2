"""Puts a command and the files that follow it together. No I/O."""

from __future__ import annotations

import msgspec

from .protocol import Command
from .request_data import RequestData
from .request_file import RequestFile


class Inbox:
    """Collects the frames of one connection."""

    def __init__(self) -> None:
        self._command: Command | None = None
        self._contents: list[bytes] = []

    def command(self, command: Command) -> RequestData | None:
        """Take a command; return the request when no file follows. Raises DecodeError while files are missing."""
        if self._command is not None:
            raise msgspec.DecodeError(f"a file of command {self._command.command_id} is missing")
        if _missing(command):
            self._command, self._contents = command, []
            return None
        return _request(command, [])

    def file(self, content: bytes) -> RequestData | None:
        """Take a file's bytes; return the request when it was the last one. Raises DecodeError without a command."""
        if self._command is None:
            raise msgspec.DecodeError("a file came without a command")
        self._contents.append(content)
        if len(self._contents) < _missing(self._command):
            return None
        command, self._command = self._command, None
        return _request(command, self._contents)


def _missing(command: Command) -> int:
    return sum(1 for file in command.files if file.path is None)


def _request(command: Command, contents: list[bytes]) -> RequestData:
    inline = iter(contents)
    data = RequestData()
    data.request_id = command.command_id
    data.client_request_id = command.request_id
    data.command = command.name
    data.segments = list(command.segments)
    data.value_list = [{"key": item.key, "value": item.value} for item in command.values]
    data.files = [
        RequestFile.received(header, next(inline) if header.path is None else None) for header in command.files
    ]
    data.payload.update(values=data.value_list, files=data.files)
    return data
