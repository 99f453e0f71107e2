"""One request, as the module's ``process()`` gets it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, TypeVar, overload

from . import images
from .common import JSON
from .reply import Reply
from .request_file import RequestFile

__all__ = ["RequestData"]

_TRUE_WORDS = frozenset({"y", "yes", "t", "true", "on", "1"})
_Value = TypeVar("_Value", int, float)


class RequestData:
    """The command's name, values, files and path segments, and its reply buffer ``reply``."""

    def __init__(self, json_request_data: str | None = None) -> None:
        """Read a request of the queue protocol; without an argument make an empty one, for self tests.

        Raises ValueError when the text is not a JSON object.
        """
        request = json.loads(json_request_data) if json_request_data else {}
        if not isinstance(request, dict):
            raise ValueError("A request must be a JSON object")
        payload = request.get("payload")
        self.payload: JSON = payload if isinstance(payload, dict) else {}
        self.request_id: str = str(request.get("reqid") or "")
        self.client_request_id = ""
        """The ``X-Request-Id`` of the HTTP request, as the server's logs name it."""
        self.value_list: list[dict[str, Any]] = list(self.payload.get("values") or [])
        self.files: list[RequestFile] = [RequestFile(file) for file in self.payload.get("files") or []]
        self.reply = Reply()
        self._command: str = str(self.payload.get("command") or request.get("reqtype") or "")
        self._segments: list[str] = list(self.payload.get("urlSegments") or [])
        self._queue: str = str(self.payload.get("queue") or request.get("queue") or "")

    @property
    def command_id(self) -> str:
        """The id of the command: what clients poll and cancel with. The same as ``request_id``."""
        return self.request_id

    @property
    def command(self) -> str:
        """The command's name, as the route map says."""
        return self._command

    @command.setter
    def command(self, name: str) -> None:
        self._command = name
        self.payload["command"] = name

    @property
    def segments(self) -> list[str]:
        """The path after the route, split at ``/``."""
        return self._segments

    @segments.setter
    def segments(self, segments: list[str]) -> None:
        self._segments = segments
        self.payload["urlSegments"] = segments

    @property
    def queue(self) -> str:
        """The queue that the request came from; empty when it is not known."""
        return self._queue

    @queue.setter
    def queue(self, name: str) -> None:
        self._queue = name
        self.payload["queue"] = name

    def add_value(self, key: str, value: Any) -> None:
        """Add a value under a name, stored as given."""
        self.value_list.append({"key": key, "value": [value]})

    def add_file(self, path: str | Path) -> None:
        """Add a file from disk; one that cannot be read is added without bytes."""
        self.files.append(RequestFile.at_path(path))

    def get_value(self, key: str, defaultValue: Any = None) -> Any:
        """Return the first value of that name (letter case counts), or the default."""
        for entry in self.value_list:
            if entry.get("key") == key:
                value = entry.get("value")
                if not isinstance(value, list):
                    return defaultValue if value is None else value
                return value[0] if value else defaultValue
        return defaultValue

    @overload
    def get_int(self, key: str) -> int | None: ...
    @overload
    def get_int(self, key: str, defaultValue: int) -> int: ...
    @overload
    def get_int(self, key: str, defaultValue: None) -> int | None: ...
    def get_int(self, key: str, defaultValue: int | None = None) -> int | None:
        """Return the value as an integer; the default when it is absent or no whole number."""
        number = _number(self.get_value(key))
        return defaultValue if number is None or number != int(number) else int(number)

    @overload
    def get_float(self, key: str) -> float | None: ...
    @overload
    def get_float(self, key: str, defaultValue: float) -> float: ...
    @overload
    def get_float(self, key: str, defaultValue: None) -> float | None: ...
    def get_float(self, key: str, defaultValue: float | None = None) -> float | None:
        """Return the value as a number (``0.5``, also ``0,5``); the default when it is absent or none."""
        number = _number(self.get_value(key))
        return defaultValue if number is None else float(number)

    def get_bool(self, key: str, defaultValue: bool | None = None) -> bool | None:
        """Return True for y, yes, t, true, on and 1 in any letter case, else False; the default when absent."""
        value = self.get_value(key)
        if value is None:
            return defaultValue
        if isinstance(value, str):
            return value.strip().lower() in _TRUE_WORDS
        return bool(value)

    def get_image(self, index: int, module: str = "pil") -> Any:
        """Return file ``index`` as an image: an RGB Pillow image, or with ``module='opencv'`` a BGR array.

        None when there is no such file or it is no image. Raises ImportError, saying what to install, when the
        library is missing.
        """
        content = self.get_file_bytes(index)
        if content is None:
            return None
        return images.decode_opencv(content) if module == "opencv" else images.decode_pil(content)

    def get_file_bytes(self, index: int) -> bytes | None:
        """Return the bytes of file ``index``, or None when there is no such file."""
        if not 0 <= index < len(self.files):
            return None
        return self.files[index].read()

    def json(self) -> str:
        """Return the request as JSON text with an empty id, as the queue protocol writes it."""
        payload = {
            **self.payload,
            "command": self._command,
            "urlSegments": self._segments,
            "values": self.value_list,
            "files": [file.as_json() for file in self.files],
        }
        return json.dumps({"reqid": "", "reqtype": self._command, "payload": payload})

    @staticmethod
    def encode_image(image: Any, image_format: str = "PNG") -> str:
        """Return a Pillow image, or an array of 8-bit RGB, as base64 text of that format."""
        return base64.b64encode(images.encode(image, image_format)).decode("ascii")

    @staticmethod
    def encode_file_contents(path: str | Path) -> str | None:
        """Return a file's bytes as base64 text, or None when it cannot be read."""
        content = RequestFile.at_path(path).read()
        return None if content is None else base64.b64encode(content).decode("ascii")

    @staticmethod
    def clamp(value: _Value, min: _Value, max: _Value) -> _Value:
        """Return the value, or the nearer of the two limits when it lies outside them."""
        if value < min:
            return min
        return max if value > max else value

    @staticmethod
    def restrict(value: Any, values: list[Any], default: Any) -> Any:
        """Return the value when it is one of the values, else the default."""
        return value if value in values else default


def _number(value: Any) -> float | int | None:
    if isinstance(value, str):
        text = value.strip()
        # Some clients write the decimal separator of their locale.
        value = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        number = float(value)
        if number - number != 0:  # infinities and NaN are no numbers a module could use
            return None
        return int(value) if not isinstance(value, float) and number.is_integer() and _whole(value) else number
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(value: Any) -> bool:
    try:
        int(value)
    except (TypeError, ValueError):
        return False
    return True
