"""The models that are there to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamachat.engine.errors import ModelUnavailableError
from llamachat.engine.gguf_header import read_header

from .model_folder import model_files
from .model_names import parts_of
from .settings import PREFIX

SETTING = PREFIX + "MODEL_FILENAME"
FOLDER_SETTING = PREFIX + "MODEL_DIR"
_MIB = 1024 * 1024


def list_models(model_dir: Path, loaded: Path | None) -> dict[str, Any]:
    """Return the model files of a folder, as the answer of the route ``text/models``.

    ``setting`` is what chooses a model, and each model's ``value`` what to set it to; a full path is as good. A loaded
    model from elsewhere is in the list, too. ``folderSetting`` is what chooses the folder.
    """
    paths = model_files(model_dir)
    if loaded is not None and not any(_same(path, loaded) for path in paths):
        paths.insert(0, loaded)
    return {
        "success": True,
        "models": [_entry(path, model_dir, loaded) for path in paths],
        "folder": str(model_dir.resolve()),
        "setting": SETTING,
        "folderSetting": FOLDER_SETTING,
    }


def _entry(path: Path, model_dir: Path, loaded: Path | None) -> dict[str, Any]:
    inside = path.is_relative_to(model_dir)
    name = path.relative_to(model_dir).as_posix() if inside else str(path)
    entry: dict[str, Any] = {
        "file": name,
        "value": f"@{name}",  # with it the server leaves the slashes as they are
        "folder": str(path.parent.resolve() if inside else path.parent),
        "sizeMb": round(_size(path) / _MIB, 1),
        "loaded": loaded is not None and _same(path, loaded),
    }
    try:
        header = read_header(path)
    except ModelUnavailableError as problem:
        return {**entry, "name": path.stem, "kind": "damaged", "error": str(problem)}
    return {**entry, "name": header.name, "kind": header.kind}


def _same(path: Path, other: Path) -> bool:
    """Whether both are one file, by whatever links."""
    try:
        return path.samefile(other)
    except OSError:
        return path == other


def _size(path: Path) -> int:
    """Bytes of a model, with all parts of a split one; what cannot be looked at counts as nothing."""
    sizes = 0
    for name in parts_of(path.name):
        try:
            sizes += path.with_name(name).stat().st_size
        except OSError:
            continue
    return sizes
