"""From an OpenAI ``response_format`` to a grammar that the reply must follow."""

from __future__ import annotations

import json
from typing import Any

from engine.errors import RequestRefusedError

_ANY_OBJECT = {"type": "object"}


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
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as problem:
            raise RequestRefusedError(f"response_format is not valid JSON: {problem}.") from None
    if not isinstance(value, dict):
        raise RequestRefusedError("response_format must be a JSON object.")
    return value


def _grammar(schema: Any) -> str:
    # Imported here because it needs llama.cpp, and plain requests do not.
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as problem:  # the converter raises whatever it stumbles over
        raise RequestRefusedError(f"response_format has a schema that is not understood: {problem}") from problem
