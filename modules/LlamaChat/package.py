"""Pack the module into ``<module id>-<version>.zip``, beside this file.

    python package.py [module id] [version]

The files lie at the root of the archive. Left out: caches, logs, environments, and every model but the built-in
one. Python's own zip writer gives the same archive on every system.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

MODULE_DIR = Path(__file__).resolve().parent
BUILT_IN_MODEL = Path("models/millrace-tiny.gguf")
_SKIPPED_FOLDERS = {"__pycache__", "bin", "venv", ".venv", "models", ".mypy_cache", ".ruff_cache"}
_SKIPPED_FOLDERS |= {"data", "prompt-cache"}  # what servers that know no folder for data leave here
_SKIPPED_SUFFIXES = {".pyc", ".zip", ".log", ".part", ".bak"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that the same files give the same archive


def package(module_id: str, version: str, folder: Path = MODULE_DIR) -> Path:
    """Write the archive and return its path."""
    target = folder / f"{module_id}-{version}.zip"
    unfinished = target.with_suffix(".zip.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(_names(folder)):
            _add(archive, folder, name)
    unfinished.replace(target)
    return target


def _names(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        skipped = _SKIPPED_FOLDERS & set(name.parts) or path.suffix in _SKIPPED_SUFFIXES
        if path.is_file() and (name == BUILT_IN_MODEL or not skipped):
            yield name


def _add(archive: zipfile.ZipFile, folder: Path, name: Path) -> None:
    entry = zipfile.ZipInfo(name.as_posix(), _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o755 if name.suffix == ".sh" else 0o644) << 16
    archive.writestr(entry, (folder / name).read_bytes())


def main(arguments: Sequence[str]) -> int:
    """Pack with the given id and version, by default those of the settings file."""
    module_id = arguments[0] if arguments else "LlamaChat"
    version = arguments[1] if len(arguments) > 1 else _version_in_settings()
    print(package(module_id, version))
    return 0


def _version_in_settings() -> str:
    """Read the version without a parser that knows comments: it is the first of its name in the file."""
    for line in (MODULE_DIR / "modulesettings.json").read_text("utf-8-sig").splitlines():
        key, _, value = line.strip().partition(":")
        if key == '"Version"':
            return value.strip(' ",')
    raise SystemExit("modulesettings.json names no Version; give the module id and the version.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
