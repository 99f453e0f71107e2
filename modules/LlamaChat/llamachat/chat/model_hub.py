"""Downloading models from a Hugging Face hub: with progress, going on after an interruption, and verified.

The address of the hub is huggingface_hub's: the environment variable ``HF_ENDPOINT`` changes it, ``HF_TOKEN``
opens repositories that need a login. Its lock sees to it that only one process writes a file, and its own transfer
resumes; ``hf_hub_download`` itself throws away what an interrupted download has brought
(docs/adr/011-downloads-that-go-on.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from llamachat.engine.errors import ModelUnavailableError
from llamachat.engine.gguf_file import check_is_gguf

from .model_names import is_model, listed, parts_of, select
from .partial_download import PartialDownload
from .progress import Progress, no_progress

_MIB = 1024 * 1024
_WEB_PAGE = (
    "what answered is a web page, as the login of a network or a proxy sends it. Open any web page in a browser here, "
    "log in if it asks, and try again."
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its path there, its bytes, and its SHA-256 when the hub knows it."""

    name: str
    size: int
    sha256: str | None


class ModelHub:
    """Chooses and downloads model files. Every error is a ``ModelUnavailableError`` that says what to do."""

    def __init__(self, progress: Progress = no_progress) -> None:
        self._progress = progress

    def choose(self, repo_id: str, filename: str = "", fileglob: str = "") -> list[RemoteFile]:
        """Return the file to download; several when the model is split, the first part first.

        The named file, else what matches the pattern, else the preferred quantisation.
        """
        models = [file for file in self._files(repo_id) if is_model(file.name)]
        if not models:
            raise ModelUnavailableError(f"The repository {repo_id} has no GGUF file. Choose one that has.")
        names = [file.name for file in models]
        wanted = parts_of(select(repo_id, names, filename, fileglob))
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ModelUnavailableError(f"The repository {repo_id} lacks parts of a split model: {listed(missing)}.")
        return [file for name in wanted for file in models if file.name == name]

    def download(self, repo_id: str, files: Sequence[RemoteFile], model_dir: Path) -> Path:
        """Download the files into the folder, unless they are there, and return the path of the first."""
        paths = [_local_path(model_dir, file.name) for file in files]
        for file, path in zip(files, paths, strict=True):
            if not _is_there(file, path):
                self._download_one(repo_id, file, path)
        return paths[0]

    def _files(self, repo_id: str) -> list[RemoteFile]:
        info = _ask(repo_id, lambda: HfApi().model_info(repo_id, files_metadata=True))
        return [
            RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
            for file in info.siblings or []
        ]

    def _download_one(self, repo_id: str, file: RemoteFile, path: Path) -> None:
        """Fetch one file. Whoever comes second waits, and then finds it there."""
        part = PartialDownload(path, file.sha256 or str(file.size))
        part.path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(part.lock):
            if _is_there(file, path):
                return
            self._fetch(repo_id, file, part)
            try:
                _verify(file, part.path)
            except ModelUnavailableError:
                part.discard()
                raise
            os.replace(part.path, path)
            part.tidy()

    def _fetch(self, repo_id: str, file: RemoteFile, part: PartialDownload) -> None:
        here = part.usable_bytes(file.size)
        _check_space(file, part, here)

        class Bar(_Bar):
            report = staticmethod(lambda done: self._progress(file.name, done, file.size))

        def transfer() -> None:
            with part.path.open("ab") as stream:
                http_get(
                    hf_hub_url(repo_id, file.name),
                    stream,
                    resume_size=here,
                    headers=build_hf_headers(),
                    expected_size=file.size,
                    tqdm_class=Bar,
                )

        try:
            _ask(repo_id, transfer, f" What arrived is kept: the same command goes on from there ({part.path}).")
        except ModelUnavailableError:
            if not part.starts_well():
                raise _no_model(repo_id, file, part) from None
            raise


class _Bar:
    """A progress bar as the transfer knows it. ``report`` is called with the bytes that are here."""

    report: Callable[[int], None]

    def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
        self._done = initial

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def update(self, count: float | None = 1) -> None:
        """So many more bytes are here."""
        self._done += int(count or 0)
        self.report(self._done)


def _is_there(file: RemoteFile, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _check_space(file: RemoteFile, part: PartialDownload, here: int) -> None:
    free, needed = shutil.disk_usage(part.path.parent).free, file.size - here
    if free < needed:
        raise ModelUnavailableError(
            f"{file.name} needs {needed / _MIB:.0f} MiB more, and the disk of {part.path.parent} has {free / _MIB:.0f} "
            "MiB free. Make space, or choose a smaller one."
        )


def _no_model(repo_id: str, file: RemoteFile, part: PartialDownload) -> ModelUnavailableError:
    """Throw away what came instead of a model, and say what it was."""
    is_page = part.beginning(64).lstrip().startswith(b"<")
    part.discard()
    what = _WEB_PAGE if is_page else "what came is not a GGUF file. Try again, or choose another file."
    return ModelUnavailableError(f"{file.name} did not come from the repository {repo_id}: {what}")


def _ask(repo_id: str, question: Callable[[], Any], advice: str = "") -> Any:
    """Ask the hub, and say in plain words what went wrong when it does not answer."""
    try:
        return question()
    except GatedRepoError as problem:
        raise ModelUnavailableError(
            f"The repository {repo_id} asks for a login: accept its terms on its page, then set HF_TOKEN."
        ) from problem
    except RepositoryNotFoundError as problem:
        raise ModelUnavailableError(
            f"There is no public model repository {repo_id}. Check its name, or set HF_TOKEN if it is private."
        ) from problem
    except HFValidationError as problem:
        raise ModelUnavailableError(
            f"{repo_id!r} is neither a file here nor the name of a repository, which looks like owner/name."
        ) from problem
    except json.JSONDecodeError as problem:
        raise ModelUnavailableError(f"The hub {constants.ENDPOINT} cannot be asked: {_WEB_PAGE}") from problem
    except Exception as problem:  # network errors come in many classes
        raise ModelUnavailableError(
            f"The download from the repository {repo_id} failed: {_first_line(problem)}.{advice}"
        ) from problem


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__).rstrip(".")


def _local_path(model_dir: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ModelUnavailableError(f"The repository has a file with a name that cannot be trusted: {name!r}.")
    return model_dir.joinpath(*path.parts)


def _verify(file: RemoteFile, part: Path) -> None:
    size = part.stat().st_size
    if size != file.size:
        raise ModelUnavailableError(f"{file.name} has {size} bytes instead of {file.size}. Download it again.")
    if file.sha256 is not None and _sha256(part) != file.sha256:
        raise ModelUnavailableError(
            f"{file.name} arrived damaged: its checksum is not the one of the repository. Download it again."
        )
    check_is_gguf(part)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_MIB):
            digest.update(chunk)
    return digest.hexdigest()
