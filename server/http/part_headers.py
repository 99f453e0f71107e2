"""The headers of one part of a multipart form: its name, its file name and its type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

import msgspec

from ..text import well_formed

_PARAMETER = re.compile(
    r""";\s*([!#-'*+\-.\w^`|~]+)\s*=\s*("(?:[^"\\]|\\.)*"(?=\s*(?:;|$))|"[^;]*"(?=\s*(?:;|$))|[^;]*)""", re.ASCII | re.S
)
_ESCAPED = re.compile(r"\\([\x00-\x7f])")
_CHARSETS = ("utf-8", "iso-8859-1", "us-ascii")
_TEXT_TYPES = ("application/json", "application/xml", "application/x-www-form-urlencoded")


class PartHeaders(msgspec.Struct, frozen=True):
    """``filename``: ``None`` for a value. ``content_type``: as it was sent."""

    name: str = ""
    filename: str | None = None
    content_type: str | None = None

    @property
    def kind(self) -> str:
        """The content type alone, in lower case; empty when there is none."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def is_file(self) -> bool:
        """Whether it is a file: it has a file name, or a type that is no text."""
        return self.filename is not None or not (
            self.kind == "" or self.kind.startswith("text/") or self.kind.endswith("+json") or self.kind in _TEXT_TYPES
        )


def part_headers(lines: Iterable[tuple[str, str]]) -> PartHeaders:
    """Read header lines, whose names are in title case and whose bytes were taken for Latin-1."""
    found: dict[str, str] = {}
    for name, value in lines:
        found.setdefault(name, value.encode("latin-1").decode("utf-8", "surrogateescape"))
    given = parameters(found.get("Content-Disposition", ""))
    content_type = found.get("Content-Type")
    return PartHeaders(
        name=well_formed(_given(given, "name") or ""),
        filename=None if (filename := _given(given, "filename")) is None else well_formed(filename),
        content_type=None if content_type is None else well_formed(content_type),
    )


def parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header such as ``form-data; name="a"``, by names in lower case; the first counts."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        found.setdefault(name.lower(), _unquoted(value.strip()))
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1].lstrip("\\/"))
    return value


def _given(given: dict[str, str], name: str) -> str | None:
    """Return a parameter, in its extended form (``name*=utf-8''…``) if that can be read."""
    charset, _, rest = given.get(f"{name}*", "").partition("'")
    if charset.lower() in _CHARSETS:
        try:
            return unquote(rest.partition("'")[2], charset, "strict")
        except UnicodeDecodeError:
            pass
    return given.get(name)
