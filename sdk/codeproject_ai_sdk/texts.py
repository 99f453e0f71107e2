"""Making text fit to travel."""

from __future__ import annotations


def encodable(text: str) -> str:
    """Return the text with every half of a surrogate pair replaced by ``?``: those cannot travel as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
