"""Which module named a path first, kept on disk so that it is so after a restart too. Everything here blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ..file_look import read_if_there
from ..private_files import replace_file
from ..set_aside import DAMAGED_JSON, set_aside
from .settings.scanner import FoundModule

FILE_NAME = "routes.json"
_SHIPPED = ("llamachat",)
"""Ids of the modules that come with the server. Where nobody was first, they are."""


class RouteClaims:
    """The file with the claims of ``RouteTable``: path → module ids, first come first."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._hidden: OSError | None = None
        self.damaged = ""
        """What could not be read, in words, and where it is now."""
        self.saved: dict[str, list[str]] = {}
        """What is on disk."""

    def load(self) -> dict[str, list[str]]:
        """Return what is on disk; nothing when there is none, or none that can be read: that is set aside."""
        if why := self.unreadable():
            with contextlib.suppress(OSError):
                aside = set_aside(self._path).name
                self.damaged = f"{why} It is now {aside}; which of two modules had a route first is decided anew."
        try:
            self.saved = self._read()
        except OSError as error:
            self._hidden = error
        return _copy(self.saved)

    def unreadable(self) -> str:
        """Return why what is on disk says nothing to anybody; empty when it does, or when nobody can tell."""
        try:
            self._read()
        except (*DAMAGED_JSON, IsADirectoryError) as error:
            return f"{self._path} cannot be read: {error}."
        except OSError:
            return ""
        return ""

    def _read(self) -> dict[str, list[str]]:
        return msgspec.json.decode(read_if_there(self._path) or b"{}", type=dict[str, list[str]])

    def save(self, claims: Mapping[str, list[str]]) -> None:
        """Write the claims. Raises ``OSError``, also when nobody could read what is there: it is not written over."""
        if self._hidden is not None:
            raise self._hidden
        wanted = _copy(claims)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(wanted), indent=1))
        self.saved = wanted


def _copy(claims: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {path: list(ids) for path, ids in claims.items()}


def in_order(found: Iterable[FoundModule]) -> list[FoundModule]:
    """Return modules that are seen for the first time together, whoever gets a path that several name first."""
    return sorted(found, key=lambda module: module.module_id.lower() not in _SHIPPED)
