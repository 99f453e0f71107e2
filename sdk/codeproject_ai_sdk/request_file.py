"""One uploaded file of a request, read only when the module asks for its bytes."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from .protocol import FileHeader


class RequestFile(dict[str, Any]):
    """A mapping with name, filename, contentType and data (base64 text), as the queue protocol has them.

    The bytes lie in memory, in a file on this host, or as base64 in ``data``; ``read()`` finds them.
    """

    def __init__(self, values: dict[str, Any], content: bytes | None = None, path: Path | None = None) -> None:
        super().__init__(values)
        self._content = content
        self._path = path

    @classmethod
    def received(cls, header: FileHeader, content: bytes | None) -> RequestFile:
        """Make one from the channel: ``content`` for a file that came inline, else it lies at the header's path."""
        values = {"name": header.name, "filename": header.filename, "contentType": header.content_type}
        return cls(values, content, None if header.path is None else Path(header.path))

    @classmethod
    def at_path(cls, path: str | Path) -> RequestFile:
        """Make one from a file on disk."""
        return cls({"name": Path(path).name, "filename": Path(path).name, "contentType": None}, path=Path(path))

    @property
    def path(self) -> Path | None:
        """Where the file lies on this host, when it does. The server removes it after the command's end."""
        return self._path

    def read(self) -> bytes | None:
        """Return the bytes, or None when there are none to be read."""
        if self._content is not None:
            return self._content
        if self._path is not None:
            return self._read_path(self._path)
        return self._decode(super().get("data"))

    def __missing__(self, key: str) -> Any:
        if key != "data":
            raise KeyError(key)
        content = self.read()
        return None if content is None else base64.b64encode(content).decode("ascii")

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value as for any mapping; ``data`` is made when asked for."""
        if key == "data" and key not in self:
            made = self["data"]
            return default if made is None else made
        return super().get(key, default)

    def as_json(self) -> dict[str, Any]:
        """Return the plain mapping with ``data`` in it."""
        return {**self, "data": self.get("data")}

    @staticmethod
    def _read_path(path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError:
            return None

    @staticmethod
    def _decode(data: Any) -> bytes | None:
        try:
            return None if data is None else base64.b64decode(data)
        except (binascii.Error, TypeError, ValueError):
            return None
