"""Prompt states on disk: one diskcache entry for each piece, raw bytes under raw bytes, checked before use.

An entry's key is the model's fingerprint, the digest of the tokens before, and the tokens; its value a checksum over
key and state, then the state as llama.cpp gave it. llama.cpp trusts what it is given, so nothing unchecked gets there.
The folder is private to the user: a state says what was said.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import diskcache
import numpy as np
from diskcache.core import MODE_BINARY

from .prompt_index import DIGEST_BYTES, TOKEN_BYTES, Piece

FAILURES = (sqlite3.Error, OSError, diskcache.Timeout)
"""What a disk that is full, broken, locked or not there raises here."""

_CHECKSUM_BYTES = 32
_HEAD = len(b"MILL") + _CHECKSUM_BYTES
_MAGIC = b"MILL"
_LOCKED_S = 5.0
_ABANDONED_S = 3600.0
_NEWEST = b"newest"
_OWN_NAME = re.compile(r"cache\.db.*|[0-9a-f]{2}")


class PromptStore:
    """A folder of states of one model; other models may keep theirs in the same folder.

    Every method may raise what ``FAILURES`` names. Several threads and processes may use a folder at once.
    """

    def __init__(self, folder: Path, fingerprint: bytes, most_bytes: int) -> None:
        """Open or make the folder. ``most_bytes``: all that may be in it, other models' states included."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not all(_OWN_NAME.fullmatch(path.name) for path in folder.iterdir()):
            raise OSError(f"{folder} holds other files, and this needs a folder of its own")
        folder.chmod(0o700)
        (folder / "cache.db").touch(0o600)
        self._fingerprint = fingerprint
        self._most_bytes = most_bytes
        try:
            self._cache = _open(folder, most_bytes)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # its content is damaged, and it is only a cache
            for path in (*folder.glob("cache.db*"), *folder.glob("*/*.val")):
                path.unlink(missing_ok=True)
            self._cache = _open(folder, most_bytes)
        self._remove_abandoned(folder)
        self._make_room()

    @property
    def bytes_used(self) -> int:
        """Bytes on disk, other models' states included."""
        return int(self._cache.volume())

    def pieces(self) -> Iterator[Piece]:
        """Return what is stored for this model."""
        size = len(self._fingerprint) + DIGEST_BYTES
        for key in self._cache:
            if key.startswith(self._fingerprint) and len(key) > size and (len(key) - size) % TOKEN_BYTES == 0:
                yield Piece(key[len(self._fingerprint) : size], key[size:])

    def read(self, piece: Piece) -> np.ndarray[Any, Any] | None:
        """Return a piece's state, None when there is none.

        Raises ``ValueError`` when it is damaged: then it is removed.
        """
        key = self._key(piece)
        file: IO[bytes] | None = self._cache.get(key, read=True)
        if file is None:
            return None
        with file:
            content = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
            complete = file.readinto(content) == len(content)  # type: ignore[attr-defined]
        state = content[_HEAD:]
        if not complete or content[:_HEAD].tobytes() != _head(key, state):
            self._cache.delete(key)
            raise ValueError("a stored prompt state is damaged")
        return state

    def write(self, piece: Piece, state: np.ndarray[Any, Any]) -> bool:
        """Store a piece; the least recently used ones leave when there is no room. False when it is too large."""
        key = self._key(piece)
        if len(key) + _HEAD + len(state) > self._most_bytes // 2:
            return False
        self._cache.set(key, _Chunks(_head(key, state), state.data), read=True)
        self._make_room()
        return True

    def touch(self, pieces: list[Piece]) -> list[Piece]:
        """Note that these were used, the first most recently; return those that are not there any more."""
        gone = []
        with self._cache.transact():
            for piece in reversed(pieces):
                file = self._cache.get(self._key(piece), read=True)
                if file is None:
                    gone.append(piece)
                else:
                    file.close()
        return gone

    def delete(self, piece: Piece) -> None:
        """Remove a piece, if it is there."""
        self._cache.delete(self._key(piece))

    def close(self) -> None:
        """Close the calling thread's connection; each thread has its own."""
        self._cache.close()

    def _key(self, piece: Piece) -> bytes:
        return self._fingerprint + piece.parent + piece.tokens

    def _make_room(self) -> None:
        """Let the least recently used entries go until the limit holds."""
        while self._cache.volume() > self._most_bytes and len(self._cache) > 1:
            # diskcache lets one entry go with every write above the limit; this one is always the newest.
            self._cache.set(_NEWEST, b"")

    def _remove_abandoned(self, folder: Path) -> None:
        """Remove files that a killed process left before it could enter them."""
        known = {_file_stem(key) for key in self._cache}
        for name, _, files in os.walk(folder):  # which does not mind folders that another process removes
            for path in (Path(name, file) for file in files if file.endswith(".val")):
                with contextlib.suppress(OSError):
                    if path.stem.partition("-")[0] not in known and time.time() - path.stat().st_mtime > _ABANDONED_S:
                        path.unlink()


def _open(folder: Path, most_bytes: int) -> Any:
    return diskcache.Cache(
        str(folder),
        timeout=_LOCKED_S,
        disk=_RawDisk,
        disk_min_file_size=0,
        eviction_policy="least-recently-used",
        size_limit=most_bytes,
        cull_limit=1,
        sqlite_wal_autocheckpoint=64,  # pages: the log is not counted in the limit
    )


class _RawDisk(diskcache.Disk):  # type: ignore[misc]
    """Bytes under bytes, each in a file of its own. Never pickles or unpickles; whatever is no bytes is not there."""

    def put(self, key: object) -> tuple[Any, bool]:
        if not isinstance(key, bytes):
            _refuse(key)
        return sqlite3.Binary(key), True

    def get(self, key: object, raw: bool) -> bytes:
        return bytes(key) if raw and isinstance(key, bytes) else b""

    def store(self, value: object, read: bool, key: object = None) -> Any:
        if not read and not isinstance(value, bytes):
            _refuse(value)
        return super().store(value, read, key)

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> Any:
        if mode != MODE_BINARY:
            raise OSError("no raw bytes")  # which diskcache takes for an entry that is gone
        return super().fetch(mode, filename, value, read)

    def _write(self, full_path: str, iterator: Any, mode: str, encoding: str | None = None) -> Any:
        size = super()._write(full_path, iterator, mode, encoding)
        os.chmod(full_path, 0o600)
        return size

    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        stem = _file_stem(key)
        name = os.path.join(stem[:2], f"{stem}-{os.urandom(4).hex()}.val")
        return name, os.path.join(self._directory, name)


class _Chunks:
    """A head and a state as a file to read, without a copy of the state."""

    def __init__(self, head: bytes, state: memoryview) -> None:
        self._parts = [memoryview(head), state]

    def read(self, size: int) -> memoryview:
        while len(self._parts) > 1 and not self._parts[0]:
            del self._parts[0]
        chunk, self._parts[0] = self._parts[0][:size], self._parts[0][size:]
        return chunk


def _head(key: bytes, state: np.ndarray[Any, Any]) -> bytes:
    checksum = hashlib.blake2b(key, digest_size=_CHECKSUM_BYTES)
    checksum.update(state.data)
    return _MAGIC + checksum.digest()


def _file_stem(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=DIGEST_BYTES).hexdigest()


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"only bytes are stored, not {type(value).__name__}")
