"""Forms as ``application/x-www-form-urlencoded``, decoded in slices: other threads have their turn between them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from .bad_request import BadRequestError
from .body_limits import BodyLimits

_SLICE = 64 * 1024


def read_urlencoded(text: bytes | bytearray, limits: BodyLimits) -> dict[str, list[str]]:
    """Return the values by name, both in order. Raises ``BadRequestError``."""
    if text.count(b"&") >= limits.form_fields:
        raise BadRequestError(f"The form has more than {limits.form_fields} fields.", 413)
    values: dict[str, list[str]] = {}
    for start, end in _pairs(text):
        sign = text.find(b"=", start, end)
        name = _decoded(text, start, sign if sign >= 0 else end)
        values.setdefault(name, []).append(_decoded(text, sign + 1, end) if sign >= 0 else "")
    return values


def _pairs(text: bytes | bytearray) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        found = text.find(b"&", start)
        end = found if found >= 0 else len(text)
        if end > start:
            yield start, end
        start = end + 1


def _decoded(text: bytes | bytearray, start: int, end: int) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        pieces = [decoder.decode(unquote_to_bytes(piece)) for piece in _slices(text, start, end)]
        return "".join([*pieces, decoder.decode(b"", final=True)])
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The form cannot be read: a value is not UTF-8 text ({error.reason}).") from None


def _slices(text: bytes | bytearray, start: int, end: int) -> Iterator[bytes]:
    """Cut a text nowhere inside a ``%41``."""
    while start < end:
        cut = min(end, start + _SLICE)
        begun = text.rfind(b"%", cut - 2, cut) if cut < end else -1
        if begun > start:
            cut = begun
        yield bytes(text[start:cut]).replace(b"+", b" ")
        start = cut
