"""The models that are there to choose from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine.errors import ModelUnavailableError
from engine.gguf_header import read_header

from .settings import PREFIX

SETTING = PREFIX + "MODEL_FILENAME"
_MIB = 1024 * 1024
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_FIRST_PART = re.compile(r"-00001-of-(\d{5})\.gguf$", re.IGNORECASE)


def list_models(model_dir: Path, loaded: Path | None) -> dict[str, Any]:
    """Return the model files of a folder, as the answer of the route ``text/models``.

    ``setting`` is what chooses a model, and each model's ``value`` what to set it to.
    """
    paths = [path for path in sorted(model_dir.rglob("*.gguf")) if _is_model(path)]
    return {
        "success": True,
        "models": [_entry(path, model_dir, loaded) for path in paths],
        "folder": str(model_dir),
        "setting": SETTING,
    }


def _is_model(path: Path) -> bool:
    """Not the later parts of a split model, and no helper for pictures."""
    return path.is_file() and not _LATER_PART.search(path.name) and not path.name.lower().startswith("mmproj")


def _entry(path: Path, model_dir: Path, loaded: Path | None) -> dict[str, Any]:
    name = path.relative_to(model_dir).as_posix()
    entry: dict[str, Any] = {
        "file": name,
        "value": f"@{name}",  # with it the server leaves the slashes as they are
        "sizeMb": round(_size(path) / _MIB, 1),
        "loaded": loaded is not None and loaded.resolve() == path.resolve(),
    }
    try:
        header = read_header(path)
    except ModelUnavailableError as problem:
        return {**entry, "name": path.stem, "kind": "damaged", "error": str(problem)}
    return {**entry, "name": header.name, "kind": header.kind}


def _size(path: Path) -> int:
    """Bytes of a model, with all parts of a split one."""
    match = _FIRST_PART.search(path.name)
    if match is None:
        return path.stat().st_size
    first, last = path.name[: match.start()], f"-of-{match[1]}.gguf"
    parts = [part for part in path.parent.iterdir() if part.name.startswith(first) and part.name.endswith(last)]
    return sum(part.stat().st_size for part in parts)
