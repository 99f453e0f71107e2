"""Instances: a module once more, with another id, its own routes, queue and settings, and none of its own code.

The folder of an instance holds only a ``modulesettings.json`` that names the folder of the module beside it
(``InstanceOf``) and says what differs. It runs that module's program in that module's environment.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .platform_info import PlatformInfo
from .settings_file import (
    FILE_NAME,
    ModuleSettingsError,
    RawSettings,
    find_line,
    is_there,
    lookup,
    merge,
    only_module,
    read_module,
)

KEY = "InstanceOf"
_OF_THE_BASE = {
    "LaunchSettings": ("FilePath", "Runtime", "RuntimeLocation", "Command", "Sdk"),
    "GpuOptions": ("InstallGPU",),
}
"""What decides program and environment, which an instance does not have of its own."""


def base_folder(folder: Path) -> Path | None:
    """Return the folder of the module that the one in ``folder`` is an instance of, or ``None``.

    Raises ``ModuleSettingsError``. Blocks.
    """
    main = folder / FILE_NAME
    _, values = only_module(main)
    name = lookup(values, KEY)
    if name is None:
        return None
    line = find_line(main, KEY) or 1
    if not isinstance(name, str) or not name or Path(name).name != name or "\\" in name or name == "..":
        raise ModuleSettingsError(f'{main}, line {line}, key "{KEY}": expected the name of a folder beside this one.')
    base = folder.parent / name
    if not is_there(base / FILE_NAME):
        raise ModuleSettingsError(f'{main}, line {line}, key "{KEY}": there is no module in {base}.')
    if lookup(only_module(base / FILE_NAME)[1], KEY) is not None:
        raise ModuleSettingsError(f'{main}, line {line}, key "{KEY}": {name} is an instance itself.')
    return base


def read_settings(
    folder: Path, base: Path | None, machine: PlatformInfo, user_file: Path | None, environment: Mapping[str, str]
) -> RawSettings:
    """Read a module's settings; with a ``base``, that module's come first, the user's own for it included.

    Raises ``ModuleSettingsError``. Blocks.
    """
    own = read_module(folder, machine, user_file, environment)
    if base is None:
        return own
    _check(own, base)
    inherited = read_module(base, machine, user_file, environment)
    values = _inherited(inherited.values, own.module_id)
    merge(values, own.values)
    files = [*inherited.files, *own.files]
    return msgspec.structs.replace(own, values=values, files=files, instance_of=inherited.module_id)


def _inherited(values: Mapping[str, Any], module_id: str) -> dict[str, Any]:
    """The settings an instance begins with: its own name and queue, and its id at the end of every route."""
    found = copy.deepcopy(dict(values))
    merge(found, {"Name": module_id, "LaunchSettings": {"Queue": ""}})
    routes = lookup(found, "RouteMaps")
    for entry in routes if isinstance(routes, list) else []:
        route = lookup(entry, "Route")
        if isinstance(route, str):
            merge(entry, {"Route": f"{route.strip('/')}/{module_id.lower()}"})
    return found


def _check(own: RawSettings, base: Path) -> None:
    for section, keys in _OF_THE_BASE.items():
        for key in keys:
            if lookup(lookup(own.values, section), key) is not None:
                path = next((path for path in reversed(own.files) if find_line(path, key)), own.files[0])
                raise ModuleSettingsError(
                    f'{path}, line {find_line(path, key) or 1}, key "{key}": an instance has the program and the '
                    f"environment of {base.name}; remove this."
                )
