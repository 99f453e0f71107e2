"""Reading modulesettings files: tolerant JSON, and the files that override one another.

Later sources win key by key: objects merge, lists merge by index, keys match in any letter case, a null says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import json5
import msgspec

from ...file_look import is_file, may_pass, why
from ...text import well_formed, well_formed_tree
from ...text_file import read_text
from .json_faults import json_fault
from .platform_info import PlatformInfo

FILE_NAME = "modulesettings.json"
ENVIRONMENT_PREFIX = "modules__"
_GRANTED = {"explorerframe"}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ModuleSettingsError(Exception):
    """Settings that cannot be used. The text names file, line and key, and what is expected."""


class UnreadableError(ModuleSettingsError):
    """A file that is there and cannot be read, which says nothing of what is in it.

    ``lasting``: it will not pass by itself (a matter of rights), so somebody has to do something about it.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.why = why(error)
        self.lasting = not may_pass(error)
        super().__init__(f"{path} cannot be read: {self.why}.")


class RawSettings(msgspec.Struct, frozen=True):
    """The merged settings of one module, not yet typed. ``files`` are those that were read, in order.

    ``instance_of`` is the id of the module that it is an instance of.
    """

    module_id: str
    values: dict[str, Any]
    files: list[Path]
    instance_of: str = ""


def candidate_files(folder: Path, machine: PlatformInfo, user_file: Path | None) -> list[Path]:
    """Return every file that may hold settings of the module in a folder, in the order in which they override."""
    names = ["", machine.os]
    names += [f"{machine.os}.{architecture}" for architecture in machine.architecture_names]
    if machine.in_docker:
        names.append("docker")
    if machine.device:
        names.append(machine.device)
    files = [folder / (f"modulesettings.{name}.json" if name else FILE_NAME) for name in names]
    return files if user_file is None else [*files, user_file]


def read_module(
    folder: Path, machine: PlatformInfo, user_file: Path | None, environment: Mapping[str, str]
) -> RawSettings:
    """Read and merge everything that sets up the module in a folder. Raises ``ModuleSettingsError``."""
    main, *overrides = candidate_files(folder, machine, user_file)
    module_id, described = only_module(main)
    values = _without_grants(described)
    files = [main]
    for path in overrides:
        if is_there(path):
            section = _section(read_file(path), module_id)
            merge(values, section if path == user_file else _without_grants(section))
            files.append(path)
    merge(values, _section(from_environment(environment), module_id))
    return RawSettings(module_id, values, files)


def _without_grants(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a module cannot say of itself, because only the user can grant it."""
    return {key: value for key, value in values.items() if key.lower() not in _GRANTED}


def is_there(path: Path) -> bool:
    """Whether there is such a file. Raises ``UnreadableError`` when nobody can tell."""
    try:
        return is_file(path)
    except OSError as error:
        raise UnreadableError(path, error) from None


def read_file(path: Path) -> dict[str, Any]:
    """Read one file: JSON with comments, trailing commas and a byte order mark. Raises ``ModuleSettingsError``."""
    try:
        text = read_text(path)
    except OSError as error:
        raise UnreadableError(path, error) from None
    except UnicodeDecodeError as error:
        raise ModuleSettingsError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    value = _parse(path, text)
    if not isinstance(value, dict):
        raise ModuleSettingsError(f'{path} must hold one object, like {{"Modules": {{"MyModule": {{…}}}}}}.')
    settings: dict[str, Any] = well_formed_tree(value)
    return settings


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Merge ``values`` over ``into``, in place."""
    spelling = {key.lower(): key for key in into}
    for key, value in values.items():
        known = spelling.setdefault(key.lower(), key)
        into[known] = _merged(into.get(known), value)


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in variables such as ``Modules__LlamaChat__LaunchSettings__AutoStart=false``."""
    tree: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.lower().startswith(ENVIRONMENT_PREFIX):
            continue
        nested: Any = well_formed(environment[name])
        for part in reversed(well_formed(name).split("__")):
            nested = {part: nested}
        merge(tree, nested)
    return tree


def find_line(path: Path, key: str) -> int | None:
    """Return the line (from 1) on which a key first stands in a file, in any letter case."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = f'"{key.lower()}"'
    return next((number for number, line in enumerate(lines, 1) if wanted in line.lower()), None)


def _merged(old: Any, new: Any) -> Any:
    if new is None:
        return old
    if isinstance(old, dict) and isinstance(new, Mapping):
        merge(old, new)
        return old
    if isinstance(old, list) and (items := _by_index(new)) is not None:
        for index, item in sorted(items.items()):
            if index < len(old):
                old[index] = _merged(old[index], item)
            else:
                old.append(item)
        return old
    return new


def _by_index(value: Any) -> dict[int, Any] | None:
    """A list as index → item; so is an object whose keys are numbers, as environment variables write it."""
    if isinstance(value, list):
        return dict(enumerate(value))
    if isinstance(value, Mapping) and value and all(key.isdigit() for key in value):
        return {int(key): item for key, item in value.items()}
    return None


def only_module(path: Path) -> tuple[str, dict[str, Any]]:
    """Return id and settings of the module that a file describes. Raises ``ModuleSettingsError``."""
    modules = lookup(read_file(path), "Modules")
    if not isinstance(modules, dict) or not modules:
        raise ModuleSettingsError(f'{path} must start with {{"Modules": {{"<module id>": {{…}}}}}}.')
    module_id = next(iter(modules))
    values = modules[module_id]
    line = find_line(path, module_id) or 1
    if not _ID.fullmatch(module_id):
        raise ModuleSettingsError(
            f"{path}, line {line}: the module id '{module_id}' may hold only letters, digits, '.', '-' and '_', "
            "at most 64 of them."
        )
    if not isinstance(values, dict):
        raise ModuleSettingsError(f'{path}, line {line}, key "{module_id}": expected an object with the settings.')
    return module_id, values


def _section(file: Mapping[str, Any], module_id: str) -> Mapping[str, Any]:
    section = lookup(lookup(file, "Modules"), module_id)
    return section if isinstance(section, Mapping) else {}


def lookup(value: Any, key: str) -> Any:
    """Return an entry of an object whose key matches in any letter case; ``None`` when there is none."""
    if not isinstance(value, Mapping):
        return None
    return next((item for name, item in value.items() if name.lower() == key.lower()), None)


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text)  # a hundred times faster than json5, and right for most files
    except (ValueError, RecursionError):
        pass
    try:
        return json5.loads(text)
    except ValueError as error:
        raise ModuleSettingsError(f"{path}, {json_fault(text, str(error))}.") from None
    except RecursionError:
        raise ModuleSettingsError(f"{path}, it is nested too deeply.") from None
