"""What one request body may be: the bounds that are checked while it is read."""

from __future__ import annotations

import msgspec

from ..config import ServerSettings


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes are bytes, after unpacking. Each is a setting of the server that is called ``max_`` and its name."""

    body_bytes: int = 128 * 1024 * 1024
    """A whole body."""
    text_bytes: int = 32 * 1024 * 1024
    """A JSON or urlencoded body, or the names and values of a multipart form together."""
    form_fields: int = 1024
    """Values and files of a request, those of the query included."""
    name_bytes: int = 1024
    """The name of a field, or of a file."""
    json_items: int = 50_000
    """Keys and elements of a JSON body, at every depth together."""
    json_depth: int = 100
    part_headers: int = 16
    """Header lines of one part of a multipart form."""
    part_header_bytes: int = 4096
    """One of those lines."""
    preamble_bytes: int = 4096
    """What stands before the first part of a multipart form, and behind its last one."""


def body_limits(settings: ServerSettings) -> BodyLimits:
    """Return the limits that the settings of the server name."""
    return BodyLimits(**{name: getattr(settings, f"max_{name}") for name in BodyLimits.__struct_fields__})
