"""A module's own page for the explorer, cut from its ``explore.html``."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ...file_look import read_if_there
from ...text_file import to_text

PAGE_NAME = "explore.html"
_MARKERS = {
    "html": ("<!-- START EXPLORER MARKUP -->", "<!-- END EXPLORER MARKUP -->"),
    "script": ("// START EXPLORER SCRIPT", "// END EXPLORER SCRIPT"),
    "css": ("/* START EXPLORER STYLE */", "/* END EXPLORER STYLE */"),
}


class ExplorePage(msgspec.Struct, frozen=True):
    """The three parts of a page; empty where the file has none."""

    html: str = ""
    css: str = ""
    script: str = ""


def read_page(folder: Path, module_id: str) -> ExplorePage:
    """Read ``explore.html``; a module without one has an empty page. Blocks. Raises ``OSError``."""
    data = read_if_there(folder / PAGE_NAME)
    return ExplorePage() if data is None else cut_page(to_text(data, errors="replace"), module_id)


def cut_page(text: str, module_id: str) -> ExplorePage:
    """Cut the parts from the text and put the module's own prefix in place of ``_MID_``."""
    prefix = re.sub(r"[^A-Za-z0-9]", "", module_id) + "_"
    parts = {name: _between(text, start, end) for name, (start, end) in _MARKERS.items()}
    return ExplorePage(**{name: part.replace("_MID_", prefix) for name, part in parts.items()})


def _between(text: str, start: str, end: str) -> str:
    """What lies between the first start marker and the last end marker."""
    first, last = text.find(start), text.rfind(end)
    return text[first + len(start) : last].strip() if 0 <= first < last else ""
