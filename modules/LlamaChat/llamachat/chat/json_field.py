"""Reading a field that may be JSON text, or already what it stands for."""

from __future__ import annotations

import json
from typing import Any

from llamachat.engine.errors import RequestRefusedError


def is_blank(value: Any) -> bool:
    """Whether a field is absent, or a text with nothing in it."""
    return value is None or (isinstance(value, str) and not value.strip())


def read_json(field: str, value: Any) -> Any:
    """Return what a field stands for. Raises ``RequestRefusedError``, naming it, when its text is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as problem:
        raise RequestRefusedError(f"{field} is not valid JSON: {problem}.") from None
