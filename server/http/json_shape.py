"""The shape of a JSON text, counted before it is decoded: how many items it holds and how deep they lie.

The decoder goes through a text in one step that nothing can interrupt, and what it makes of many small items is a
multiple of their text. So they are counted first, in slices between which other threads have their turn.
"""

from __future__ import annotations

from .bad_request import BadRequestError

_SLICE = 64 * 1024
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_shape(text: bytes | bytearray, most_items: int, most_depth: int) -> None:
    """Raise ``BadRequestError`` for what is too much. A text that is no JSON passes: its decoder will say so."""
    items = depth = 0
    in_string = escaped = False
    for start in range(0, len(text), _SLICE):
        piece = text[start + escaped : start + _SLICE].replace(b"\\\\", b"").replace(b'\\"', b"")
        escaped = piece.endswith(b"\\")
        parts = piece.split(b'"')
        outside = b"".join(parts[in_string::2])
        in_string ^= len(parts) % 2 == 0
        for bracket in outside.translate(None, _NO_BRACKETS):
            depth += 1 if bracket in b"[{" else -1
            if depth > most_depth:
                raise BadRequestError("The JSON body is nested too deeply.")
            if depth < 0:
                return
        items += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        if items > most_items:
            raise BadRequestError(f"The JSON body has more than {most_items} keys and elements.", 413)
