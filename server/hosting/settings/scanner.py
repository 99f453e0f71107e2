"""Finding modules: which folders there are, what their settings say, and what has changed. Everything here blocks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from ...config import ServerSettings
from ...file_look import stat_if_there, why
from ...text import well_formed
from .explore_page import PAGE_NAME, ExplorePage, read_page
from .instance import base_folder, read_settings
from .module_settings import ModuleSettings, salvaged_settings, typed_settings
from .platform_info import PlatformInfo
from .settings_file import FILE_NAME, ModuleSettingsError, RawSettings, UnreadableError, candidate_files

Fingerprint = tuple[tuple[str, int, int], ...]
UNFORESEEN = "cannot be understood; compare it with another module's"
"""Said of settings that fail in a way that has no words of its own."""


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
    """Changes with its own settings files."""
    fingerprint: Fingerprint
    """Changes with these, the page and the user's settings."""
    base: Path | None = None
    """The folder of the module that it is an instance of."""
    listing: Fingerprint
    """Changes with any file directly in the folder."""


class Scanner:
    """Looks for modules. Folders that have not changed are not read again, and what cannot be read stays as it was."""

    def __init__(self, settings: ServerSettings, machine: PlatformInfo) -> None:
        self._root = settings.modules_dir
        self._machine = machine
        self._user_file = settings.data_dir / FILE_NAME
        self._settings_names = {path.name for path in candidate_files(Path(), machine, None)}
        self._users: Fingerprint = ()
        self._known: dict[Path, FoundModule] = {}
        self.troubles: dict[Path, str] = {}
        """What the last scan could not look at, and why."""

    def folders(self) -> list[Path]:
        """Return the folders that may be modules, by name. Raises ``OSError`` when they cannot be listed."""
        with os.scandir(self._root) as entries:
            found = [entry for entry in entries if not entry.name.startswith((".", "_")) and _may_be_folder(entry)]
        return [Path(entry.path) for entry in sorted(found, key=lambda entry: entry.name.lower())]

    def scan(self) -> list[FoundModule]:
        """Return every module. Of folders with one id, the one of that name has it, else the first; the others err."""
        self.troubles = {}
        try:
            folders = self.folders()
            self._users = _fingerprint([self._user_file])
        except OSError as error:
            self.troubles[self._root] = why(error)
        else:
            self._known = {folder: found for folder in folders if (found := self._seen(folder)) is not None}
        owners: dict[str, Path] = {}
        for found in sorted(self._known.values(), key=_weakness):
            owners.setdefault(found.module_id.lower(), found.folder)
        return [
            found if (owner := owners[found.module_id.lower()]) == found.folder else _duplicate(found, owner)
            for found in self._known.values()
        ]

    def _seen(self, folder: Path) -> FoundModule | None:
        """Look at one folder. When that fails, it is what it was; a new one is no module until it can be read."""
        known = self._known.get(folder)
        try:
            return self._look(folder, known)
        except (FileNotFoundError, NotADirectoryError):
            return None  # it went away a moment ago
        except UnreadableError as error:
            self.troubles[error.path] = error.why
            return _unreadable(folder, str(error)) if known is None and error.lasting else known
        except OSError as error:
            self.troubles[folder] = why(error)
            return known
        except Exception as error:  # whatever is in its files, one module must not hide the others
            text = f"{folder / FILE_NAME} {UNFORESEEN} ({type(error).__name__}: {error})."
            return _unreadable(folder, text, before=known.settings if known is not None else None)

    def _look(self, folder: Path, known: FoundModule | None) -> FoundModule:
        listing = folder_listing(folder)
        if all(name != FILE_NAME for name, _, _ in listing):
            return _without_settings(folder, listing, known)
        if known is not None and known.fingerprint == self._fingerprints(listing, known.base)[1]:
            return msgspec.structs.replace(known, listing=listing)
        return self._read(folder, listing, known)

    def _fingerprints(self, listing: Fingerprint, base: Path | None) -> tuple[Fingerprint, Fingerprint]:
        """Return the fingerprint of the module's own files, and the one of all that has a say in its settings."""
        listed = listing if base is None else folder_listing(base) + listing
        own = tuple(file for file in listed if file[0] in self._settings_names)
        page = tuple(file for file in listed if file[0] == PAGE_NAME)
        return own, own + page + self._users

    def _read(self, folder: Path, listing: Fingerprint, known: FoundModule | None) -> FoundModule:
        """Read a module. Its fingerprint is taken before its files, so that no later change goes unnoticed."""
        base, error = _base(folder)
        # Without its base nobody knows which files matter: it is read again until there is one.
        own, fingerprint = ((), ()) if error else self._fingerprints(listing, base)
        settings = known.settings if known is not None else None
        if not error:
            settings, error = self._settings(folder, base, settings)
        module_id = settings.module_id if settings is not None else well_formed(folder.name)
        page = self._page(base or folder, module_id, known)
        if page is None:  # it is read again until it can be
            fingerprint = ()
        return FoundModule(
            folder=folder,
            module_id=module_id,
            settings=settings,
            error=error,
            page=page or ExplorePage(),
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
        except UnreadableError:
            raise
        except ModuleSettingsError as error:
            return (salvaged_settings(raw, home) if raw is not None else before), str(error)

    def _page(self, folder: Path, module_id: str, known: FoundModule | None) -> ExplorePage | None:
        """Read the page. A new module runs without one that it may not read (``None``)."""
        try:
            return read_page(folder, module_id)
        except PermissionError as error:
            if known is not None:
                raise
            self.troubles[folder / PAGE_NAME] = why(error)
            return None


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or nobody can tell: a closer look says which."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _unreadable(
    folder: Path, error: str, listing: Fingerprint = (), before: ModuleSettings | None = None
) -> FoundModule:
    """A module whose settings nobody may read, or that has none; it is looked at again until that is otherwise."""
    return FoundModule(
        folder=folder,
        module_id=before.module_id if before is not None else well_formed(folder.name),
        settings=before,
        error=error,
        page=ExplorePage(),
        own=(),
        fingerprint=(),
        listing=listing,
    )


def _without_settings(folder: Path, listing: Fingerprint, known: FoundModule | None) -> FoundModule:
    """Say that a folder has no settings, and which file may have been meant as such."""
    similar = [name for name, _, _ in listing if "settings" in name.lower()]
    remedy = (
        f"Rename its file {similar[0]} to {FILE_NAME}, all in small letters"
        if similar
        else "Write one (docs/writing-a-module.md tells how), or take the folder out of the modules folder"
    )
    error = f"There is no {FILE_NAME} in {folder}, so it is no module. {remedy}."
    return _unreadable(folder, error, listing, known.settings if known is not None else None)


def _base(folder: Path) -> tuple[Path | None, str]:
    """Return the folder that an instance belongs to, and what is wrong with it."""
    try:
        return base_folder(folder), ""
    except UnreadableError:
        raise
    except ModuleSettingsError as error:
        return None, str(error)


def _weakness(found: FoundModule) -> tuple[bool, bool]:
    """How weak the claim of a folder on its module's id is."""
    return found.settings is None, found.folder.name.lower() != found.module_id.lower()


def _duplicate(found: FoundModule, owner: Path) -> FoundModule:
    error = f"The module id '{found.module_id}' is already taken by the folder {owner}. Remove one of the two."
    return msgspec.structs.replace(found, module_id=well_formed(found.folder.name), settings=None, error=error)


def _fingerprint(paths: list[Path]) -> Fingerprint:
    """Return names, times and sizes of those that are there. Raises ``OSError`` when one cannot be looked at."""
    looked_at = [(path.name, stat_if_there(path)) for path in paths]
    return tuple((name, found.st_mtime_ns, found.st_size) for name, found in looked_at if found is not None)


def folder_listing(folder: Path) -> Fingerprint:
    """Return what changes with any file directly in a folder. Raises ``OSError`` when it cannot be looked at."""
    with os.scandir(folder) as entries:
        found = [(entry.name, stat_if_there(entry.path)) for entry in entries]
    return tuple(
        sorted(
            (name, looked_at.st_mtime_ns, looked_at.st_size)
            for name, looked_at in found
            if looked_at is not None and stat.S_ISREG(looked_at.st_mode)
        )
    )
