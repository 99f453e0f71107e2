"""Writing the user's choice of a model, where the server looks for settings that go before the module's own."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamachat.engine.errors import LlamaChatError


class SettingsFileError(LlamaChatError):
    """The user's settings file cannot be changed; the text says why and what to do."""


def write_environment(data_dir: Path, module_id: str, variables: Mapping[str, str]) -> Path:
    """Set environment variables of a module in ``<data_dir>/modulesettings.json``; return the file's path.

    What else is in the file stays, and keys match in any letter case, as the server reads them. The change is atomic:
    the server sees the old file or the new one.
    Raises ``SettingsFileError`` when the file is there but not plain JSON.
    """
    path = data_dir / "modulesettings.json"
    settings = _read(path)
    environment = settings
    for key in ("Modules", module_id, "EnvironmentVariables"):
        environment = environment.setdefault(_spelling(environment, key), {})
        if not isinstance(environment, dict):
            raise SettingsFileError(f"{path} has a value where an object belongs: {key}. Correct it and try again.")
    environment.update({_spelling(environment, name): value for name, value in variables.items()})
    data_dir.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    return path


def read_environment(data_dir: Path, module_id: str) -> dict[str, str]:
    """Return the environment variables that the user has set for a module, their names in capitals.

    Raises ``SettingsFileError`` when the file is there but not plain JSON.
    """
    found: Any = _read(data_dir / "modulesettings.json")
    for key in ("Modules", module_id, "EnvironmentVariables"):
        found = found.get(_spelling(found, key)) if isinstance(found, dict) else None
    return {name.upper(): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())  # in any of the encodings that editors save
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise SettingsFileError(
            f"{path} cannot be changed, because it is not plain JSON ({problem}). Remove comments and trailing "
            "commas from it, or delete it, and try again."
        ) from problem
    if not isinstance(settings, dict):
        raise SettingsFileError(f"{path} must hold a JSON object. Correct it and try again.")
    return settings


def _spelling(entry: Mapping[str, Any], name: str) -> str:
    """Return the key as the file spells it."""
    return next((key for key in entry if key.lower() == name.lower()), name)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
