"""JSON bodies: a plain object of values, or the payload form with values and files."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from codeproject_ai_sdk.protocol import NamedValue

from ..commands.command import UploadedFile
from ..text import well_formed
from .bad_request import BadRequestError
from .body_limits import BodyLimits
from .json_shape import check_shape
from .json_texts import JsonTexts

_BRACE = re.compile(rb'\s*\{("?)')
_TAIL = 64
Contents = tuple[list[NamedValue], list[UploadedFile]]


def read_json(body: bytes | bytearray, limits: BodyLimits) -> Contents:
    """Return values and files of a JSON body. Raises ``BadRequestError``."""
    if not body or body.isspace():
        return [], []
    check_shape(body, limits.json_items, limits.json_depth)
    texts, parsed = _decoded(body)
    if not isinstance(parsed, dict):
        raise BadRequestError('The JSON body must be an object, for example {"prompt": "hi"}.')
    lower = {key.lower(): value for key, value in parsed.items()}
    if isinstance(lower.get("values"), list) or isinstance(lower.get("files"), list):
        values = [_value(item, texts) for item in _list(lower, "values")]
        return values, [_file(item, texts) for item in _list(lower, "files")]
    given = [(texts.plain(key), value) for key, value in parsed.items() if value is not None]
    return [named(key, _strings(value, texts)) for key, value in given], []


def json_in_disguise(body: bytes | bytearray, limits: BodyLimits) -> Contents | None:
    """Return what a body holds that is JSON although its content type says otherwise; ``None`` when it is none.

    A form that begins with a brace has it as ``%7B``. ``curl -d`` calls everything a form.
    """
    begun = _BRACE.match(body)
    if begun is None:
        return None
    try:
        return read_json(body, limits)
    except BadRequestError as error:
        if begun[1] or body[-_TAIL:].rstrip().endswith(b"}"):
            text = f"{error} (It was taken for JSON because it begins with a brace.)"
            raise BadRequestError(text, error.status) from None
        return None


def _decoded(body: bytes | bytearray) -> tuple[JsonTexts, Any]:
    try:
        texts = JsonTexts(body)
        return texts, msgspec.json.decode(texts.text)
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


def _strings(value: Any, texts: JsonTexts) -> list[str]:
    """A flat JSON value as the strings a form would have carried."""
    return [texts.plain(value) if isinstance(value, str) else texts.encoded(value)]


def _value(item: Any, texts: JsonTexts) -> NamedValue:
    if not isinstance(item, dict):
        raise BadRequestError('Each of "values" must be an object {"key": name, "value": [text]}.')
    lower = {key.lower(): value for key, value in item.items()}
    value = lower.get("value")
    parts = value if isinstance(value, list) else [value]
    strings = [text for part in parts for text in _strings(part, texts)]
    return named(texts.plain(_text(lower, "key", "values", "prompt") or ""), strings)


def _file(item: Any, texts: JsonTexts) -> UploadedFile:
    if not isinstance(item, dict):
        raise BadRequestError('Each of "files" must be an object {"name", "filename", "contentType", "data"}.')
    lower = {key.lower(): value for key, value in item.items()}
    try:
        data = _from_base64(texts.pieces(_text(lower, "data", "files", "aGk=") or ""))
    except (binascii.Error, ValueError):
        raise BadRequestError('Each of "files" must carry its bytes as base64 text in "data".') from None
    content_type = _text(lower, "contentType", "files", "image/jpeg")
    return UploadedFile(
        name=texts.plain(_text(lower, "name", "files", "image") or ""),
        filename=texts.plain(_text(lower, "filename", "files", "a.jpg") or ""),
        content_type=None if content_type is None else texts.plain(content_type),
        size=len(data),
        data=data,
    )


def _from_base64(pieces: Iterable[str]) -> bytes:
    """Decode what comes in pieces of any length. Raises ``ValueError``."""
    decoded, rest = [], ""
    for piece in pieces:
        piece = rest + piece
        whole = max(len(piece) - 1, 0) // 4 * 4  # the last four may be the end, which is padded
        decoded.append(base64.b64decode(piece[:whole], validate=True))
        if len(decoded[-1]) != whole // 4 * 3:
            raise ValueError("It goes on behind its end.")
        rest = piece[whole:]
    return b"".join([*decoded, base64.b64decode(rest, validate=True)])


def _text(item: dict[str, Any], name: str, of: str, example: str) -> str | None:
    """Return a text of one entry, whose keys are in lower case, as it was decoded; ``None`` when it is not given."""
    value = item.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f'The "{name}" of each of "{of}" must be a text, for example "{example}".')
    return value
