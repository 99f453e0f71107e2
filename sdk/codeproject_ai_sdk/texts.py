"""Making text fit to travel, and reading it as editors save it."""

from __future__ import annotations

import codecs
from pathlib import Path

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def encodable(text: str) -> str:
    """Return the text with every half of a surrogate pair replaced by ``?``: those cannot travel as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def read_text(path: Path) -> str:
    """Return the text of a file: UTF-8, with or without a byte order mark, or UTF-16 with one."""
    data = path.read_bytes()
    text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")
