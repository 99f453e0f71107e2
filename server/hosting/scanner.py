"""Finding modules: which folders there are, what their settings say, and what has changed. Everything here blocks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ..config import ServerSettings
from .explore_page import ExplorePage, read_page
from .instance import base_folder, read_settings
from .module_settings import ModuleSettings, salvaged_settings, typed_settings
from .platform_info import PlatformInfo
from .settings_file import FILE_NAME, ModuleSettingsError, RawSettings, candidate_files

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
    own: Fingerprint
    """Changes with its own settings files and the page."""
    fingerprint: Fingerprint
    """Changes with these and the user's settings."""
    base: Path | None = None
    """The folder of the module that it is an instance of."""
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
        listing = folder_listing(folder)
        known = self._known.get(folder)
        if known is not None and known.fingerprint == self._fingerprints(folder, known.base)[1]:
            return msgspec.structs.replace(known, listing=listing)
        return self._read(folder, listing, known)

    def _fingerprints(self, folder: Path, base: Path | None) -> tuple[Fingerprint, Fingerprint]:
        """Return the fingerprint of the module's own files, and the one of all that has a say in its settings."""
        folders = [folder] if base is None else [base, folder]
        own: Fingerprint = ()
        for each in folders:
            own += _fingerprint([*candidate_files(each, self._machine, None), each / "explore.html"])
        return own, own + _fingerprint([self._user_file])

    def _read(self, folder: Path, listing: Fingerprint, known: FoundModule | None) -> FoundModule:
        """Read a module. Its fingerprint is taken before its files, so that no later change goes unnoticed."""
        base, error = _base(folder)
        # Without its base nobody knows which files matter: it is read again until there is one.
        own, fingerprint = ((), ()) if error else self._fingerprints(folder, base)
        settings = known.settings if known is not None else None
        if not error:
            settings, error = self._settings(folder, base, settings)
        module_id = settings.module_id if settings is not None else folder.name
        return FoundModule(
            folder=folder,
            module_id=module_id,
            settings=settings,
            error=error,
            page=read_page(base or folder, module_id),
            own=own,
            fingerprint=fingerprint,
            listing=listing,
            base=base,
        )

    def _settings(
        self, folder: Path, base: Path | None, before: ModuleSettings | None
    ) -> tuple[ModuleSettings | None, str]:
        """Read the settings. Of broken ones keep what can be kept: names and routes, else those from before."""
        home = base or folder
        raw: RawSettings | None = None
        try:
            raw = read_settings(folder, base, self._machine, self._user_file, os.environ)
            return typed_settings(raw, home), ""
        except ModuleSettingsError as error:
            return (salvaged_settings(raw, home) if raw is not None else before), str(error)


def _base(folder: Path) -> tuple[Path | None, str]:
    """Return the folder that an instance belongs to, and what is wrong with it."""
    try:
        return base_folder(folder), ""
    except ModuleSettingsError as error:
        return None, str(error)


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
