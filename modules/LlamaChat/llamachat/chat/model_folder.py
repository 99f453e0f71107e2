"""The model files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .model_names import is_later_part, is_model

_DEEPEST = 8
"""Folders in folders that are looked into; a link to a whole disk is no folder of models."""


def model_files(folder: Path) -> list[Path]:
    """Return the models in a folder and those below it, sorted: of split ones the first part.

    ``.GGUF`` counts, and links are followed. Hidden folders and what cannot be read are left out.
    """
    return sorted(path for path in _files(folder, (os.path.realpath(folder),)) if not is_later_part(path.name))


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link in a circle, say
            continue
        if is_file and is_model(entry.name):
            yield Path(entry.path)
        elif is_folder and len(above) < _DEEPEST:
            real = os.path.realpath(entry.path)
            if real not in above:
                yield from _files(Path(entry.path), (*above, real))
