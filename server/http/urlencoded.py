"""Forms as ``application/x-www-form-urlencoded``, decoded in slices: other threads have their turn between them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from .bad_request import BadRequestError
from .body_limits import BodyLimits

_SLICE = 64 * 1024


def read_urlencoded(text: bytes, limits: BodyLimits) -> dict[str, list[str]]:
    """Return the values by name, both in order. Raises ``BadRequestError``."""
    if text.count(b"&") >= limits.form_fields:
        raise BadRequestError(f"The form has more than {limits.form_fields} fields.", 413)
    values: dict[str, list[str]] = {}
    for pair in text.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            values.setdefault(_decoded(name), []).append(_decoded(value))
    return values


def _decoded(text: bytes) -> str:
    try:
        return b"".join(unquote_to_bytes(piece.replace(b"+", b" ")) for piece in _slices(text)).decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The form cannot be read: a value is not UTF-8 text (byte {error.start}).") from None


def _slices(text: bytes) -> Iterator[bytes]:
    """Cut a text nowhere inside a ``%41``."""
    start = 0
    while start < len(text):
        end = start + _SLICE
        begun = text.rfind(b"%", end - 2, end)
        if begun >= 0:
            end = begun
        yield text[start:end]
        start = end
