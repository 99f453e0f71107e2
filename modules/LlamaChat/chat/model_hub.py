"""Downloading models from a Hugging Face hub: with progress, going on after an interruption, and verified.

The address of the hub is huggingface_hub's: the environment variable ``HF_ENDPOINT`` changes it, ``HF_TOKEN``
opens repositories that need a login.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.errors import ModelUnavailableError
from engine.gguf_file import check_is_gguf
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars

from .model_file import Progress, matches

PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")
"""Which quantisation to take when nobody named one: small enough for most machines, and good."""

_SHARD = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its path there, its bytes, and its SHA-256 when the hub knows it."""

    name: str
    size: int
    sha256: str | None


class ModelHub:
    """Chooses and downloads model files. Every error is a ``ModelUnavailableError`` that says what to do."""

    def __init__(self, progress: Progress = lambda name, done, total: None) -> None:
        disable_progress_bars()  # progress is reported through the callback instead
        self._progress = progress

    def choose(self, repo_id: str, filename: str = "", fileglob: str = "") -> list[RemoteFile]:
        """Return the file to download; several when the model is split, the first part first.

        The named file, else what matches the pattern, else the preferred quantisation.
        """
        models = [file for file in self._files(repo_id) if _is_model(file.name)]
        if not models:
            raise ModelUnavailableError(f"The repository {repo_id} has no GGUF file. Choose one that has.")
        names = [file.name for file in models]
        wanted = _select(repo_id, names, filename, fileglob)
        shards = _all_shards(repo_id, wanted, names)
        return [file for shard in shards for file in models if file.name == shard]

    def download(self, repo_id: str, files: Sequence[RemoteFile], model_dir: Path) -> Path:
        """Download the files into the folder, unless they are there, and return the path of the first."""
        paths = [_local_path(model_dir, file.name) for file in files]
        for file, path in zip(files, paths, strict=True):
            if not (path.is_file() and path.stat().st_size == file.size):
                self._download_one(repo_id, file, path)
        return paths[0]

    def _files(self, repo_id: str) -> list[RemoteFile]:
        info = _ask(repo_id, lambda: HfApi().model_info(repo_id, files_metadata=True))
        return [
            RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
            for file in info.siblings or []
        ]

    def _download_one(self, repo_id: str, file: RemoteFile, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The part's name holds the checksum, so that a changed file is never joined to an old beginning.
        part = path.with_name(f"{path.name}.{(file.sha256 or str(file.size))[:12]}.part")
        self._fetch(repo_id, file, part)
        try:
            _verify(file, part)
            check_is_gguf(part)
        except ModelUnavailableError:
            part.unlink()
            raise
        os.replace(part, path)

    def _fetch(self, repo_id: str, file: RemoteFile, part: Path) -> None:
        here = part.stat().st_size if part.exists() else 0
        if here > file.size:
            part.unlink()
            here = 0
        with part.open("ab") as stream:
            reporting = _ReportingFile(stream, lambda done: self._progress(file.name, done, file.size))
            fetch: Callable[[], Any] = lambda: http_get(  # noqa: E731
                hf_hub_url(repo_id, file.name),
                reporting,  # type: ignore[arg-type, unused-ignore]
                resume_size=here,
                headers=build_hf_headers(),
                expected_size=file.size,
            )
            _ask(repo_id, fetch, f" What arrived is kept: the same command goes on from there ({part}).")


class _ReportingFile:
    """A binary file that tells how long it is after every write."""

    def __init__(self, stream: IO[bytes], report: Callable[[int], None]) -> None:
        self._stream = stream
        self._report = report

    def write(self, data: bytes) -> int:
        written = self._stream.write(data)
        self._report(self._stream.tell())
        return written

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._stream.truncate(size)


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
            f"{repo_id!r} is not the name of a repository; it looks like owner/name."
        ) from problem
    except Exception as problem:  # network errors come in many classes
        raise ModelUnavailableError(
            f"The download from the repository {repo_id} failed: {_first_line(problem)}.{advice}"
        ) from problem


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__).rstrip(".")


def _is_model(name: str) -> bool:
    base = name.rpartition("/")[2].lower()
    # mmproj files hold the eyes of a model that sees, not the model.
    return base.endswith(".gguf") and not base.startswith("mmproj") and not base.endswith("mmproj.gguf")


def _select(repo_id: str, names: Sequence[str], filename: str, fileglob: str) -> str:
    if filename:
        found = [name for name in names if filename in (name, name.rpartition("/")[2])]
        if found:
            return found[0]
        if not fileglob:
            raise ModelUnavailableError(f"The repository {repo_id} has no file {filename}. It has: {_list(names)}.")
    candidates = [name for name in names if matches(name, fileglob)] if fileglob else list(names)
    if not candidates:
        raise ModelUnavailableError(f"No file of the repository {repo_id} matches {fileglob}. It has: {_list(names)}.")
    firsts = [name for name in candidates if _shard_number(name) in (None, 1)]
    for quantisation in PREFERRED:
        for name in firsts:
            if quantisation.lower() in name.lower():
                return name
    if len(firsts) == 1:
        return firsts[0]
    raise ModelUnavailableError(
        f"The repository {repo_id} has several models; name one, as in {repo_id}:{firsts[0]}. It has: {_list(names)}."
    )


def _all_shards(repo_id: str, name: str, names: Sequence[str]) -> list[str]:
    """Return all parts of a split model in order, or just the name."""
    match = _SHARD.match(name)
    if match is None:
        return [name]
    count = int(match["count"])
    shards = [f"{match['stem']}-{number:05}-of-{match['count']}.gguf" for number in range(1, count + 1)]
    missing = [shard for shard in shards if shard not in names]
    if missing:
        raise ModelUnavailableError(f"The repository {repo_id} lacks parts of a split model: {_list(missing)}.")
    return shards


def _shard_number(name: str) -> int | None:
    match = _SHARD.match(name)
    return int(match["number"]) if match else None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
