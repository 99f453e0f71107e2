"""Text that can travel: what comes out of headers, the environment or file names need not be valid Unicode."""

from __future__ import annotations

from typing import Any


def well_formed(text: str) -> str:
    """Return the text with U+FFFD in place of every half of a surrogate pair: such a half cannot be written as UTF-8.

    Python makes them of bytes that are no UTF-8, for example of a file name in Latin-1.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def well_formed_tree(value: Any) -> Any:
    """Return a JSON value with all its texts well-formed, names included."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [well_formed_tree(item) for item in value]
    if isinstance(value, dict):
        return {well_formed_tree(key): well_formed_tree(item) for key, item in value.items()}
    return value
