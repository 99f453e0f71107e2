"""Finding modules: which folders there are, what their settings say, and what has changed. Everything here blocks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ..config import ServerSettings
from .explore_page import ExplorePage, read_page
from .module_settings import ModuleSettings, salvaged_settings, typed_settings
from .platform_info import PlatformInfo
from .settings_file import FILE_NAME, ModuleSettingsError, RawSettings, candidate_files, read_module

Fingerprint = tuple[tuple[str, int, int], ...]


class FoundModule(msgspec.Struct, frozen=True, kw_only=True):
    """A module folder as it is now.

    ``settings`` is ``None`` when they cannot be read; with an ``error`` they are what could be saved of them, good for
    names and routes only.
    """

    folder: Path
    module_id: str
    settings: ModuleSettings | None
    error: str
    page: ExplorePage
    fingerprint: Fingerprint
    """Changes with the settings files and the page."""
    listing: Fingerprint
    """Changes with any file directly in the folder."""


class Scanner:
    """Looks for modules. Folders that have not changed are not read again."""

    def __init__(self, settings: ServerSettings, machine: PlatformInfo) -> None:
        self._root = settings.modules_dir
        self._machine = machine
        self._user_file = settings.data_dir / FILE_NAME
        self._known: dict[Path, FoundModule] = {}

    def folders(self) -> list[Path]:
        """Return the folders that may be modules, by name."""
        try:
            entries = sorted(os.scandir(self._root), key=lambda entry: entry.name.lower())
        except OSError:
            return []
        return [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith((".", "_"))]

    def scan(self) -> list[FoundModule]:
        """Return every module. Of two folders with one id, the second is found with an error."""
        modules: list[FoundModule] = []
        seen: dict[str, Path] = {}
        for folder in self.folders():
            if not (folder / FILE_NAME).is_file():
                continue
            found = self._look(folder)
            self._known[folder] = found
            owner = seen.setdefault(found.module_id.lower(), folder)
            modules.append(found if owner == folder else _duplicate(found, owner))
        return modules

    def _look(self, folder: Path) -> FoundModule:
        files = candidate_files(folder, self._machine, self._user_file)
        fingerprint = _fingerprint([*files, folder / "explore.html"])
        listing = folder_listing(folder)
        known = self._known.get(folder)
        if known is not None and known.fingerprint == fingerprint:
            return msgspec.structs.replace(known, listing=listing)
        return self._read(folder, fingerprint, listing, known)

    def _read(
        self, folder: Path, fingerprint: Fingerprint, listing: Fingerprint, known: FoundModule | None
    ) -> FoundModule:
        settings, error = self._settings(folder, known)
        module_id = settings.module_id if settings is not None else folder.name
        return FoundModule(
            folder=folder,
            module_id=module_id,
            settings=settings,
            error=error,
            page=read_page(folder, module_id),
            fingerprint=fingerprint,
            listing=listing,
        )

    def _settings(self, folder: Path, known: FoundModule | None) -> tuple[ModuleSettings | None, str]:
        """Read the settings. Of broken ones keep what can be kept: names and routes, else those from before."""
        before = known.settings if known is not None else None
        raw: RawSettings | None = None
        try:
            raw = read_module(folder, self._machine, self._user_file, os.environ)
            return typed_settings(raw, folder), ""
        except ModuleSettingsError as error:
            return (salvaged_settings(raw, folder) if raw is not None else before), str(error)


def _duplicate(found: FoundModule, owner: Path) -> FoundModule:
    error = f"The module id '{found.module_id}' is already taken by the folder {owner}. Remove one of the two."
    return msgspec.structs.replace(found, module_id=found.folder.name, settings=None, error=error)


def _fingerprint(paths: list[Path]) -> Fingerprint:
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def folder_listing(folder: Path) -> Fingerprint:
    """Return what changes with any file directly in a folder."""
    try:
        return _fingerprint(sorted(path for path in folder.iterdir() if path.is_file()))
    except OSError:
        return ()
