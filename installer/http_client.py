"""Just enough HTTP to talk to the server on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, cast

_PATIENCE = 30.0
# A proxy set for the outside world must not be asked for this machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class NoAnswerError(Exception):
    """Nobody answered at that address, or what came was not JSON."""


class HttpClient:
    """Calls one server; ``key`` is sent as a bearer token when it is not empty."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, patience: float = _PATIENCE) -> dict[str, Any]:
        """GET a path; returns the JSON object answered, whatever the status. Raises NoAnswerError."""
        return self._call(path, None, patience)

    def post(self, path: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """POST form fields; returns the JSON object answered, whatever the status. Raises NoAnswerError."""
        return self._call(path, urllib.parse.urlencode(fields).encode(), _PATIENCE)

    def _call(self, path: str, body: bytes | None, patience: float) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, data=body, headers=self._headers)
        try:
            with _open(request, timeout=patience) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                text = refusal.read()
        except (OSError, ValueError) as error:
            raise NoAnswerError(str(error)) from error
        try:
            value = json.loads(text)
        except ValueError as error:
            raise NoAnswerError(f"not JSON: {text[:200]!r}") from error
        if not isinstance(value, dict):
            raise NoAnswerError(f"not a JSON object: {text[:200]!r}")
        return cast("dict[str, Any]", value)
