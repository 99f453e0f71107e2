"""What a GGUF file says of its model, read without loading it."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

from .errors import ModelUnavailableError
from .gguf_file import check_is_gguf

Kind = Literal["chat", "embedding", "reranking", "other"]
"""``other``: what belongs to a model, such as its eyes or an adapter."""

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_STRING = 16 * 1024 * 1024  # chat templates are the longest, with some ten thousand characters
_MOST_ENTRIES = 1_000_000
_LONGEST_LIST = 10_000_000  # vocabularies have some hundred thousand entries
_POOLED = {1: "mean", 2: "cls", 3: "last"}
_RANK = 4
_ENCODERS = ("bert", "t5encoder", "embedding")
_HELPERS = ("clip", "mmproj", "adapter", "imatrix")
_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class Header:
    """The name a model gives itself, what it is for, and how many bytes its file has."""

    name: str
    kind: Kind
    size_bytes: int


def read_header(path: Path) -> Header:
    """Return what the file says of its model. Raises ``ModelUnavailableError`` when it cannot be read."""
    check_is_gguf(path)
    status = path.stat()
    return _read_header(path, status.st_size, status.st_mtime_ns)


def check_is_whole(path: Path) -> None:
    """Raise ``ModelUnavailableError`` when the file is no GGUF, is damaged at its start, or lacks its end."""
    check_is_gguf(path)
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            reader = _Reader(file, size)
            reader.scalars()
            least = reader.start_of_last_tensor()
    except (OSError, EOFError, struct.error, ValueError) as problem:
        raise _damaged(path, problem) from problem
    if size <= least:
        raise _damaged(path, f"its data goes on to byte {least} at least, and it has {size}")


def is_embedding_model(path: Path) -> bool:
    """Whether the file holds an embedding model; of a damaged one llama.cpp says better what is wrong with it."""
    try:
        return read_header(path).kind == "embedding"
    except ModelUnavailableError:
        return False


@lru_cache(maxsize=256)
def _read_header(path: Path, size: int, _changed_ns: int) -> Header:
    try:
        with path.open("rb") as file:
            values = _Reader(file, size).scalars()
    except (OSError, EOFError, struct.error, ValueError) as problem:
        raise _damaged(path, problem) from problem
    name = values.get("general.name")
    return Header(name if isinstance(name, str) and name else path.stem, _kind(values), size)


def _damaged(path: Path, problem: object) -> ModelUnavailableError:
    return ModelUnavailableError(f"The model file {path} is damaged or incomplete: {problem}. Download it again.")


def _kind(values: Mapping[str, Any]) -> Kind:
    """A pooling says that the model was made for one vector per text; encoders can do nothing else."""
    architecture = str(values.get("general.architecture", ""))
    if architecture in _HELPERS or values.get("general.type") in _HELPERS:
        return "other"
    pooling = values.get(f"{architecture}.pooling_type")
    if pooling == _RANK:
        return "reranking"
    return "embedding" if pooling in _POOLED or any(word in architecture for word in _ENCODERS) else "chat"


class _Reader:
    """Reads the key-value section. Whatever the file holds, it reads no further than its end."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._tensors = 0

    def scalars(self) -> dict[str, Any]:
        """Return all values that are no lists."""
        _, version, self._tensors, count = self._take("4sIQQ")
        if not 2 <= version <= 9 or count > _MOST_ENTRIES:
            raise ValueError(f"version {version} with {count} entries is not known")
        values = {}
        for _ in range(count):
            key = self._string()
            (kind,) = self._take("I")
            if kind == _ARRAY:
                self._skip_array()
            else:
                values[key] = self._value(kind)
        return values

    def start_of_last_tensor(self) -> int:
        """Return the byte at which the last tensor begins, after ``scalars``: the file must go on beyond it."""
        furthest = 0
        if self._tensors > _MOST_ENTRIES:
            raise ValueError(f"{self._tensors} tensors are not known")
        for _ in range(self._tensors):
            self._string()
            (dimensions,) = self._take("I")
            if dimensions > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor of {dimensions} dimensions is not known")
            *_, offset = self._take(f"{dimensions}QIQ")
            furthest = max(furthest, offset)
        return self._file.tell() + furthest

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind not in _FIXED:
            raise ValueError(f"a value of type {kind} is not known")
        return self._take(_FIXED[kind])[0]

    def _skip_array(self) -> None:
        kind, count = self._take("IQ")
        if kind in _FIXED:
            self._skip(count * struct.calcsize(_FIXED[kind]))
        elif kind == _STRING and count <= _LONGEST_LIST:
            for _ in range(count):
                self._skip(self._take("Q")[0])
        else:
            raise ValueError(f"a list of {count} values of type {kind} is not known")

    def _string(self) -> str:
        (length,) = self._take("Q")
        if length > _LONGEST_STRING:
            raise ValueError(f"a text of {length} bytes is too long")
        return self._bytes(length).decode("utf-8", "replace")

    def _take(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self._bytes(struct.calcsize(f"<{form}")))

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError("it ends too early")
        return data

    def _skip(self, count: int) -> None:
        # Small steps are read, which stays in the buffer; a seek would throw the buffer away.
        if count < 4096:
            self._bytes(count)
        elif self._file.tell() + count > self._size:
            raise EOFError("it ends too early")
        else:
            self._file.seek(count, os.SEEK_CUR)
