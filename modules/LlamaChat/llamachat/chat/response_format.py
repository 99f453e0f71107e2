"""From an OpenAI ``response_format`` to a grammar that the reply must follow."""

from __future__ import annotations

import json
import re
from typing import Any

from llamachat.engine.errors import RequestRefusedError

from .json_field import is_blank, read_json

MAX_REPEATS = 500
"""The largest length or count in a schema; the converter writes every repetition out."""

_ANY_OBJECT = {"type": "object"}
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_REPEAT = re.compile(r"\{([\d,]+)\}", re.ASCII)


def grammar_for(response_format: Any) -> str | None:
    """Return the GBNF grammar for a response format (JSON text or an object), None for plain text.

    Raises ``RequestRefusedError`` when it is not one of the known formats.
    """
    wanted = _read(response_format)
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return _grammar(wanted.get("schema") or _ANY_OBJECT)
    if kind == "json_schema":
        schema = wanted.get("json_schema")
        if isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
            return _grammar(schema["schema"])
        raise RequestRefusedError("response_format.json_schema.schema must be a JSON schema object.")
    if kind == "grammar" and isinstance(wanted.get("grammar"), str):
        return str(wanted["grammar"])
    raise RequestRefusedError("response_format.type must be text, json_object, json_schema or grammar.")


def _read(value: Any) -> dict[str, Any]:
    if is_blank(value):
        return {}
    value = read_json("response_format", value)
    if not isinstance(value, dict):
        raise RequestRefusedError("response_format must be a JSON object.")
    return value


def _grammar(schema: Any) -> str:
    _check_counts(schema)
    # Imported here because it needs llama.cpp, and plain requests do not.
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as problem:  # the converter raises whatever it stumbles over
        raise RequestRefusedError(f"response_format has a schema that is not understood: {problem}") from problem


def _check_counts(schema: Any) -> None:
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, dict):
            parts.extend(part.values())
            pattern = part.get("pattern")
            counts = [part.get(name) for name in _COUNTS]
            if isinstance(pattern, str):
                numbers = ",".join(_REPEAT.findall(pattern)).split(",")
                counts += [int(number[:9]) for number in numbers if number]
            if any(isinstance(count, int) and count > MAX_REPEATS for count in counts):
                raise RequestRefusedError(
                    f"response_format has a schema with a length or count above {MAX_REPEATS}, which is the most."
                )
