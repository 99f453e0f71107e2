"""Which requirements file of a module fits this machine, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...file_look import is_file
from ...text_file import read_text
from ..settings.platform_info import PlatformInfo
from .gpu import Accelerators

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_INCLUDE = re.compile(r"^(?:-r|--requirement)[\s=]+(\S+)")
_OPTION_WITH_VALUE = re.compile(r"^(--?[a-z-]+)(?:[\s=]+(\S+))?")
_COMMENT = re.compile(r"(^|\s+)#(.*)$")
_KEPT_OPTIONS = {"-f", "--find-links", "-c", "--constraint", "-e", "--editable", "--no-index"}
SDK_NAME = "codeproject-ai-sdk"


class Requirements(msgspec.Struct, frozen=True):
    """What a requirements file asks for.

    ``lines``: packages and the options that stay in a file. ``purposes``: package name → what installing it is called.
    ``skipped``: options that mean nothing here.
    """

    lines: list[str] = []
    purposes: dict[str, str] = {}
    index: str | None = None
    extra_indexes: list[str] = []
    prefer_binary: bool = False
    pre_releases: bool = False
    skipped: list[str] = []


def choose_file(folder: Path, machine: PlatformInfo, found: Accelerators, install_gpu: bool) -> Path | None:
    """Return the first file that exists of those that fit this machine; ``None`` when the module has none."""
    for name in candidates(machine, found, install_gpu):
        path = folder / (f"requirements.{name}.txt" if name else "requirements.txt")
        if is_file(path):
            return path
    return None


def candidates(machine: PlatformInfo, found: Accelerators, install_gpu: bool) -> Iterator[str]:
    """Yield what stands between ``requirements.`` and ``.txt``, best first; last the empty string: no such part."""
    os, architectures = machine.os, machine.architecture_names[::-1]
    places = [*(f"{os}.{architecture}." for architecture in architectures), f"{os}.", ""]
    if install_gpu and machine.device:
        yield machine.device
    if install_gpu and found.mps:
        yield "mps"
    if install_gpu and found.cuda is not None:
        major, minor = found.cuda
        for place in places:
            yield from (f"{place}cuda{major}_{minor}", f"{place}cuda{major}", f"{place}cuda")
    if install_gpu and found.rocm:
        yield from (f"{place}rocm" for place in places)
    if install_gpu and found.any:
        yield from (f"{place}gpu" for place in places)
    yield from (f"{os}.{architecture}" for architecture in architectures)
    yield os
    yield ""


def read_requirements(path: Path) -> Requirements:
    """Read a requirements file and the files it includes. Blocks. Raises ``OSError``."""
    reader = _Reader()
    reader.read(path, set())
    return reader.result()


def without_package(requirements: Requirements, name: str) -> Requirements:
    """Return the requirements without one package (any spelling of its name)."""
    lines = [line for line in requirements.lines if package_name(line) != name]
    return msgspec.structs.replace(requirements, lines=lines)


def package_name(line: str) -> str:
    """Return the normalised name of a requirement, ``codeproject-ai-sdk``; empty for an option."""
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


class _Reader:
    """Collects the lines of a file and of those it includes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._purposes: dict[str, str] = {}
        self._index: str | None = None
        self._extra: list[str] = []
        self._flags: set[str] = set()
        self._skipped: list[str] = []

    def read(self, path: Path, seen: set[Path]) -> None:
        if path in seen:
            return
        for line in read_text(path).replace("\\\n", " ").splitlines():
            comment = _COMMENT.search(line)
            text = _COMMENT.sub("", line).strip()
            include = _INCLUDE.match(text)
            if include:
                self.read(path.parent / include[1], seen | {path})
            elif text.startswith("-"):
                self._option(text, path.parent)
            elif text:
                self._package(text, comment[2].strip() if comment else "", path.parent)

    def result(self) -> Requirements:
        return Requirements(
            lines=self._lines,
            purposes=self._purposes,
            index=self._index,
            extra_indexes=list(dict.fromkeys(self._extra)),
            prefer_binary="--prefer-binary" in self._flags,
            pre_releases="--pre" in self._flags,
            skipped=self._skipped,
        )

    def _package(self, text: str, purpose: str, folder: Path) -> None:
        if text.startswith((".", "/", "\\")):
            text = str((folder / text).resolve())
        self._lines.append(text)
        if purpose:
            self._purposes[package_name(text)] = purpose

    def _option(self, text: str, folder: Path) -> None:
        match = _OPTION_WITH_VALUE.match(text)
        name, value = (match[1], match[2]) if match else (text, None)
        if name == "--extra-index-url" and value:
            self._extra.append(value)
        elif name in ("-i", "--index-url") and value:
            self._index = value
        elif name in ("--prefer-binary", "--pre"):
            self._flags.add(name)
        elif name in _KEPT_OPTIONS:
            self._lines.append(f"{name} {_absolute(value, folder)}" if value else name)
        else:
            self._skipped.append(text)


def _absolute(value: str, folder: Path) -> str:
    return value if "://" in value else str((folder / value).resolve())
