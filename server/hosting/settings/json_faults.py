"""Saying in words where a settings file stops being JSON, and what was expected there."""

from __future__ import annotations

import json
import re

_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:\\.|[^"\\\n])*"|,(?=\s*[}\]])')
_STRING_OR_BRACKET = re.compile(r'"(?:\\.|[^"\\\n])*"|[{}\[\]]')
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"?|[\w.+-]+|\S')
_KEY = re.compile(r'"((?:[^"\\\n]|\\.)*)"\s*:')
_JSON5_PLACE = re.compile(r":(\d+) .* at column (\d+)", re.DOTALL)
_PAIRS = {"}": "{", "]": "["}
_WORDS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}


def json_fault(text: str, json5_error: str) -> str:
    """Return line, column and cause of what keeps a text from being JSON with comments and trailing commas.

    ``json5_error`` is what a tolerant parser says. Begins with ``line`` unless the text is empty.
    """
    if not text.strip():
        return 'it is empty; it must begin with {"Modules": {"<module id>": {'
    plain = _without_extras(text)
    try:
        json.loads(plain)
    except json.JSONDecodeError as error:
        position, cause = error.pos, _cause(plain, error)
        lenient = error.msg.startswith(("Expecting property name", "Expecting value"))
    except RecursionError:
        return "it is nested too deeply"
    else:
        position, cause, lenient = 0, "something is not as it should be", True
    tolerant = _place(text, json5_error)
    if tolerant is not None and tolerant > position and (lenient or _line(text, tolerant) > _line(text, position)):
        # What strict JSON complains of first is allowed here, such as a key without quotes: the fault comes later.
        position, cause = tolerant, f"this does not belong here: {_token(plain, tolerant)}"
    keys = _KEY.findall(text[:position])
    after = f' (after the key "{keys[-1]}")' if keys else ""
    column = position - text.rfind("\n", 0, position)
    return f"line {_line(text, position)}, column {column}: {cause}{after}"


def _without_extras(text: str) -> str:
    """Put spaces in place of comments and trailing commas, so that every place stays where it is."""
    for pattern in (_STRING_OR_COMMENT, _STRING_OR_COMMA):
        text = pattern.sub(lambda match: match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0]), text)
    return text


def _cause(text: str, error: json.JSONDecodeError) -> str:
    token = _token(text, error.pos)
    if not token:
        return _unclosed(text)
    if error.msg.startswith("Expecting ',' delimiter"):
        return _comma(text, error.pos, token)
    if error.msg.startswith("Expecting ':' delimiter"):
        return f"a colon is missing before {token}"
    if error.msg.startswith("Expecting property name"):
        return f'expected a key in double quotes, such as "Name", instead of {token}'
    if error.msg.startswith("Expecting value"):
        hint = f": write {_WORDS[token]}" if token in _WORDS else ""
        return f"expected a value (text in double quotes, a number, true, false, {{…}} or […]) instead of {token}{hint}"
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return "the closing quote of a text is missing in this line"
    if error.msg.startswith("Invalid \\"):
        return "a backslash in a text must be written twice (\\\\); in paths, / does as well"
    return f"this comes after the end of the settings: {token}; look for a bracket too many before it"


def _comma(text: str, position: int, token: str) -> str:
    if token in _PAIRS:
        opened = _open_brackets(text[:position])
        where = f"; the '{text[opened[-1]]}' of line {_line(text, opened[-1])} is still open" if opened else ""
        return f"'{token}' closes nothing{where}"
    before = text[:position].rstrip()
    if _line(text, len(before)) < _line(text, position):
        return f"a comma is missing at the end of line {_line(text, len(before))}, before {token}"
    return f"a comma is missing before {token}"


def _unclosed(text: str) -> str:
    opened = _open_brackets(text)
    if not opened:
        return "the file ends too early"
    closing = next(close for close, opening in _PAIRS.items() if opening == text[opened[-1]])
    return (
        f"the file ends, but the '{text[opened[-1]]}' of line {_line(text, opened[-1])} is still open: "
        f"a '{closing}' is missing"
    )


def _open_brackets(text: str) -> list[int]:
    """Where the brackets are that are not closed."""
    opened: list[int] = []
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "{[":
            opened.append(match.start())
        elif match[0] in _PAIRS and opened and text[opened[-1]] == _PAIRS[match[0]]:
            opened.pop()
    return opened


def _token(text: str, position: int) -> str:
    match = _TOKEN.search(text, position)
    return match[0][:60] if match else ""


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _place(text: str, json5_error: str) -> int | None:
    match = _JSON5_PLACE.search(json5_error)
    if match is None:
        return None
    lines = text.split("\n")
    number = min(int(match[1]), len(lines)) - 1
    return sum(len(line) + 1 for line in lines[:number]) + max(0, int(match[2]) - 1)
