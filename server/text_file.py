"""Text files as people's editors save them: with or without a byte order mark, with the line ends of any system."""

from __future__ import annotations

import codecs
from pathlib import Path

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Return the text of a file. Blocks. Raises ``OSError`` and ``UnicodeDecodeError``."""
    return to_text(path.read_bytes())


def to_text(data: bytes, errors: str = "strict") -> str:
    """Return what the bytes of a file say: UTF-8, or UTF-16 when they begin with its mark (Windows: "Unicode").

    Raises ``UnicodeDecodeError``.
    """
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    return data.decode(encoding, errors).replace("\r\n", "\n").replace("\r", "\n")
