"""The user's own settings: one file in the data folder that goes before what modules say of themselves."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...text_file import read_text
from .module_settings import Scalar

Place = tuple[str, str]
"""Section and key of a setting, such as ``("LaunchSettings", "AutoStart")``."""


class SettingError(Exception):
    """A setting that cannot be changed so; the text says why and what to do."""


def save(path: Path, changes: Mapping[str, Mapping[Place, Scalar]]) -> None:
    """Write settings of modules (id → place → value) into the user's file; what else is in it stays.

    The change is atomic: a reader sees the old file or the new one. Raises ``SettingError``. Blocks.
    """
    settings = _read(path)
    for module_id, values in changes.items():
        for (section, key), value in values.items():
            entry = settings
            for name in ("Modules", module_id, section):
                entry = _object(path, entry, name)
            entry[_spelling(entry, key)] = value
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}.") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise SettingError(
            f"{path} is not plain JSON, so a change would lose what is special in it. Change the setting there by "
            "hand, or take comments and trailing commas out of the file."
        ) from None
    if not isinstance(settings, dict):
        raise SettingError(f"{path} must hold a JSON object. Correct it first.")
    return settings


def _object(path: Path, entry: dict[str, Any], name: str) -> dict[str, Any]:
    found = entry.setdefault(_spelling(entry, name), {})
    if not isinstance(found, dict):
        raise SettingError(f'{path} has a value where an object belongs, at "{name}". Correct it first.')
    return found


def _spelling(entry: Mapping[str, Any], name: str) -> str:
    """The key as the file spells it: keys match in any letter case."""
    return next((key for key in entry if key.lower() == name.lower()), name)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
