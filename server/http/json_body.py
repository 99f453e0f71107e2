"""JSON bodies: a plain object of values, or the payload form with values and files."""

from __future__ import annotations

import base64
import binascii
import codecs
from typing import Any

import msgspec
from codeproject_ai_sdk.protocol import NamedValue

from ..commands.command import UploadedFile
from ..text import well_formed
from .bad_request import BadRequestError
from .body_limits import BodyLimits
from .json_shape import check_shape

Contents = tuple[list[NamedValue], list[UploadedFile]]


def read_json(body: bytes, limits: BodyLimits) -> Contents:
    """Return values and files of a JSON body. Raises ``BadRequestError``."""
    text = body.removeprefix(codecs.BOM_UTF8)
    if not text.strip():
        return [], []
    check_shape(text, limits.json_items, limits.json_depth)
    parsed = _decoded(text)
    if not isinstance(parsed, dict):
        raise BadRequestError('The JSON body must be an object, for example {"prompt": "hi"}.')
    lower = {key.lower(): value for key, value in parsed.items()}
    if isinstance(lower.get("values"), list) or isinstance(lower.get("files"), list):
        return [_value(item) for item in _list(lower, "values")], [_file(item) for item in _list(lower, "files")]
    return [named(key, _strings(value)) for key, value in parsed.items() if value is not None], []


def json_in_disguise(body: bytes, limits: BodyLimits) -> Contents | None:
    """Return what a body holds that is JSON although its content type says otherwise; ``None`` when it is none.

    A form that begins with a brace has it as ``%7B``. ``curl -d`` calls everything a form.
    """
    bare = body.removeprefix(codecs.BOM_UTF8).strip()
    if not bare.startswith(b"{"):
        return None
    try:
        return read_json(bare, limits)
    except BadRequestError as error:
        if bare.startswith(b'{"') or bare.endswith(b"}"):
            text = f"{error} (It was taken for JSON because it begins with a brace.)"
            raise BadRequestError(text, error.status) from None
        return None


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The body is not UTF-8 text ({error.reason}).") from None
    except msgspec.DecodeError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}") from None
    except RecursionError:
        raise BadRequestError("The JSON body is nested too deeply.") from None


def named(key: str, texts: list[str]) -> NamedValue:
    """Return a named value whose texts can travel."""
    return NamedValue(well_formed(key), [well_formed(text) for text in texts])


def _list(body: dict[str, Any], name: str) -> list[Any]:
    items = body.get(name)
    if items is not None and not isinstance(items, list):
        raise BadRequestError(f'The "{name}" of the JSON body must be a list.')
    return items or []


def _strings(value: Any) -> list[str]:
    """A flat JSON value as the strings a form would have carried."""
    if isinstance(value, str):
        return [value]
    return [msgspec.json.encode(value).decode()]


def _value(item: Any) -> NamedValue:
    if not isinstance(item, dict):
        raise BadRequestError('Each of "values" must be an object {"key": name, "value": [text]}.')
    lower = {key.lower(): value for key, value in item.items()}
    value = lower.get("value")
    strings = [text for part in value for text in _strings(part)] if isinstance(value, list) else _strings(value)
    return named(_text(lower, "key", "values", "prompt") or "", strings)


def _file(item: Any) -> UploadedFile:
    if not isinstance(item, dict):
        raise BadRequestError('Each of "files" must be an object {"name", "filename", "contentType", "data"}.')
    lower = {key.lower(): value for key, value in item.items()}
    try:
        data = base64.b64decode(_text(lower, "data", "files", "aGk=") or "", validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError('Each of "files" must carry its bytes as base64 text in "data".') from None
    return UploadedFile(
        name=_text(lower, "name", "files", "image") or "",
        filename=_text(lower, "filename", "files", "a.jpg") or "",
        content_type=_text(lower, "contentType", "files", "image/jpeg"),
        size=len(data),
        data=data,
    )


def _text(item: dict[str, Any], name: str, of: str, example: str) -> str | None:
    """Return a text of one entry, whose keys are in lower case; ``None`` when it is not given."""
    value = item.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f'The "{name}" of each of "{of}" must be a text, for example "{example}".')
    return None if value is None else well_formed(value)
