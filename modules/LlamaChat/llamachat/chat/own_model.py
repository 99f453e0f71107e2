"""A model file of the user's own: looked at, and brought into the model folder without taking its space twice."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from llamachat.engine.errors import LlamaChatError, ModelUnavailableError
from llamachat.engine.gguf_header import check_is_whole, read_header

from .model_names import listed, parts_of


class OwnModelError(LlamaChatError):
    """The file cannot be used; the text says why and what to do."""


def names_a_file(model: str) -> bool:
    """Whether a file is meant, and not a model in a repository."""
    path = Path(model).expanduser()
    return path.is_absolute() or path.is_file() or (model.lower().endswith(".gguf") and ":" not in model)


def take_in(named: Path, model_dir: Path) -> tuple[str, str]:
    """Bring a model file into the folder; return its name there, and how it got there in a sentence.

    A split model comes with all its parts. Raises ``OwnModelError`` or ``ModelUnavailableError``.
    """
    files = _files(named)
    for file in files:
        check_is_whole(file)
    if read_header(files[0]).kind == "other":
        raise OwnModelError(f"{files[0]} belongs to a model, but is none that chats or makes vectors. Name the model.")
    inside = _name_inside(files[0], model_dir)
    if inside is not None:
        return inside, f"It is in the model folder already: {files[0]}"
    model_dir.mkdir(parents=True, exist_ok=True)
    ways = [_bring(file, model_dir / file.name) for file in files]
    return files[0].name, ways[0]


def _files(named: Path) -> list[Path]:
    path = Path(os.path.abspath(named.expanduser()))
    if path.is_dir():
        raise OwnModelError(f"{path} is a folder. Name the model file in it.")
    if not path.is_file():
        raise OwnModelError(f"There is no file {path}. Check its name and folder.")
    parts = [path.with_name(name) for name in parts_of(path.name)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise OwnModelError(f"The model {path} has more parts, which are not beside it: {listed(missing)}.")
    return parts


def _name_inside(path: Path, model_dir: Path) -> str | None:
    """Return the name of a file that lies in the folder already."""
    try:
        return path.relative_to(os.path.abspath(model_dir)).as_posix()
    except ValueError:
        return None


def _bring(source: Path, target: Path) -> str:
    """Link where the disk is the same, else point to it, else copy. What is there is never overwritten."""
    try:
        return _make(source, target)
    except FileExistsError:
        if target.exists() and (target.samefile(source) or filecmp.cmp(source, target, shallow=False)):
            return f"It is in the model folder already: {target}"
        raise OwnModelError(
            f"There is another file of this name in the model folder: {target}. Rename yours, or remove that one."
        ) from None
    except OSError as problem:
        raise ModelUnavailableError(f"{source} cannot be brought to {target}: {problem.strerror}.") from problem


def _make(source: Path, target: Path) -> str:
    try:
        os.link(os.path.realpath(source), target)
        return f"Linked to {target}, which takes no more space. The original may be moved or deleted."
    except FileExistsError:
        raise
    except OSError:  # another disk, or one without hard links
        pass
    try:
        target.symlink_to(source)
        return f"Linked to {target}. The file itself stays at {source}: leave it there."
    except FileExistsError:
        raise
    except OSError:  # Windows, without the right to
        pass
    _copy(source, target)
    return f"Copied to {target}."


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        raise FileExistsError(target)
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
