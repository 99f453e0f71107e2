"""The API keys that ``python -m server keys`` has made: a file in the data folder, which holds only their hashes.

A key is 256 random bits, so that a plain SHA-256 cannot be turned back: a slow hash would protect guessable passwords,
and would cost every request its time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from filelock import FileLock

from ..set_aside import DAMAGED_JSON

KEY_PREFIX = "mrk_"
"""Every key that was made here begins so: logs can hide it, and scanners for secrets can find it."""
_RANDOM_BYTES = 32


class StoredKey(msgspec.Struct, frozen=True):
    """A key as it is kept. ``owner``: whose it is; ``added``: ISO 8601, UTC."""

    owner: str
    sha256: str
    added: str
    administrator: bool = False


class _Contents(msgspec.Struct):
    keys: list[StoredKey]


class KeyFileError(Exception):
    """The file cannot be read or written; the text says why and what to do."""


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(path: Path) -> list[StoredKey]:
    """Return the keys in a file; none where there is no file. Raises ``KeyFileError``."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Contents).keys
    except FileNotFoundError:
        return []
    except (OSError, *DAMAGED_JSON) as error:
        raise KeyFileError(
            f"The keys in {path} cannot be read: {error}. None of them is valid until the file is mended; without it, "
            "add them anew: python -m server keys add NAME"
        ) from None


def add_key(path: Path, owner: str, administrator: bool) -> str:
    """Make a key, keep its hash, and return it: nobody can do so again. Raises ``KeyFileError``."""
    key = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    with _changing(path) as keys:
        keys.append(StoredKey(owner, digest_of(key), now, administrator))
    return key


def remove_keys(path: Path, owner: str) -> int:
    """Remove all keys of an owner; return how many there were. Raises ``KeyFileError``."""
    with _changing(path) as keys:
        before = len(keys)
        keys[:] = [key for key in keys if key.owner != owner]
        return before - len(keys)


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[StoredKey]]:
    """Yield the keys to be changed; then write the file as a whole, one process at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", mode=0o600):
            keys = read_keys(path)
            yield keys
            write_private(path, msgspec.json.format(msgspec.json.encode(_Contents(keys))))
    except OSError as error:
        raise KeyFileError(f"The keys in {path} cannot be changed: {error.strerror or error}.") from None


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner only. Raises ``OSError``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
