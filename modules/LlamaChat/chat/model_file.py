"""Finding the model file: on this machine first, else from a model repository."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from engine.errors import ModelUnavailableError

Progress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes that are here, and the bytes in all (0 while unknown)."""

HOW_TO_GET_ONE = (
    "Run 'bash install.sh --model <owner>/<name>' to download a model, or set "
    "CPAI_MODULE_LLAMA_MODEL_FILENAME to a GGUF file in the model folder; then restart the module."
)


def local_model(model_dir: Path, filename: str, fileglob: str = "") -> Path | None:
    """Return the model file on this machine, or None: the named one, else the first that matches the pattern.

    ``filename`` may be an absolute path.
    """
    if filename and (model_dir / filename).is_file():
        return model_dir / filename
    found = [path for path in sorted(model_dir.rglob("*.gguf")) if fileglob and matches(path.name, fileglob)]
    return found[0] if found else None


def find_model(
    model_dir: Path, filename: str, repo_id: str, fileglob: str, progress: Progress = lambda name, done, total: None
) -> Path:
    """Return the path of the model file, downloaded when it is not here.

    Raises ``ModelUnavailableError`` with what to do when it is neither here nor to be had.
    """
    repo_id = repo_id.strip().removeprefix("@")
    found = local_model(model_dir, filename, fileglob if repo_id else "")
    if found is not None:
        return found
    wanted = model_dir / (filename or fileglob)
    if not repo_id:
        raise ModelUnavailableError(
            f"There is no model file {wanted}, and no repository to download one from. {HOW_TO_GET_ONE}"
        )
    # Imported only now: a module with a local model needs no downloader.
    from .model_hub import ModelHub

    hub = ModelHub(progress)
    return hub.download(repo_id, hub.choose(repo_id, filename, fileglob), model_dir)


def matches(name: str, pattern: str) -> bool:
    """Whether a file of a repository matches a pattern, by its whole path or by its last part."""
    return fnmatch(name, pattern) or fnmatch(name.rpartition("/")[2], pattern)
