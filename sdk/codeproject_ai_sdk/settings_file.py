"""Reading modulesettings.json the way people write it: comments and trailing commas allowed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .texts import read_text

# One alternative keeps strings whole, so that "//" inside a URL is not taken for a comment.
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')


def read_module_settings(folder: str | Path) -> tuple[str, dict[str, Any]]:
    """Return the module id and its settings from a module's folder; ``("", {})`` when there are none to read."""
    try:
        document = json.loads(_plain(read_text(Path(folder) / "modulesettings.json")))
        module_id, settings = next(iter(document["Modules"].items()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return "", {}
    return module_id, settings if isinstance(settings, dict) else {}


def _plain(text: str) -> str:
    without_comments = _STRING_OR_COMMENT.sub(_keep_string, text)
    return _STRING_OR_COMMA.sub(_keep_string, without_comments)


def _keep_string(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else ""
