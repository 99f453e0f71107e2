"""Finding the model file: on this machine first, else from a model repository."""

from __future__ import annotations

import os
from pathlib import Path

from llamachat.engine.errors import ModelUnavailableError

from .model_folder import model_files
from .model_names import listed, matches
from .progress import Progress, no_progress

HOW_TO_GET_ONE = (
    "Run 'bash install.sh --model FILE' with a GGUF file of yours, or 'bash install.sh --model OWNER/NAME' to "
    "download one; or choose another in the explorer, at LlamaChat's Settings."
)
"""What to do without a model. It is taken up as soon as it is there."""


def local_model(model_dir: Path, filename: str, fileglob: str = "") -> Path | None:
    """Return the model file on this machine, or None: the named one, else the first that matches the pattern.

    ``filename`` may be a full path.
    """
    if filename:
        named = model_dir / os.path.expanduser(filename)
        if named.is_file():
            return named
    if not fileglob:
        return None
    return next((path for path in model_files(model_dir) if matches(path.name, fileglob)), None)


def find_model(model_dir: Path, filename: str, repo_id: str, fileglob: str, progress: Progress = no_progress) -> Path:
    """Return the path of the model file, downloaded when it is not here.

    Raises ``ModelUnavailableError`` with what to do when it is neither here nor to be had.
    """
    repo_id = repo_id.strip().removeprefix("@")
    found = local_model(model_dir, filename, fileglob if repo_id else "")
    if found is not None:
        return found
    if not repo_id:
        raise ModelUnavailableError(_missing(model_dir, filename or fileglob))
    # Imported only now: a module with a local model needs no downloader.
    from .model_hub import ModelHub

    hub = ModelHub(progress)
    return hub.download(repo_id, hub.choose(repo_id, filename, fileglob), model_dir)


def _missing(model_dir: Path, wanted: str) -> str:
    path = model_dir / os.path.expanduser(wanted)
    if path.is_dir() and wanted:
        return f"{path} is a folder, not a model file. {HOW_TO_GET_ONE}"
    there = [found.relative_to(model_dir).as_posix() for found in model_files(model_dir)]
    has = f"The folder {model_dir} has: {listed(there)}." if there else f"The folder {model_dir} has none."
    return f"There is no model file {path}. {has} {HOW_TO_GET_ONE}"
