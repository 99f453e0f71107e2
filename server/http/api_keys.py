"""The keys that are valid now: those of the settings, and of the key file, which is read again when it has changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from ..log_book import LogBook
from .key_file import KeyFileError, StoredKey, digest_of, read_keys

LOOK_SECONDS = 1.0
"""A key that was added or removed counts after this time at most."""
_Look = tuple[int, int, int]


class KnownKey(msgspec.Struct, frozen=True):
    """A valid key. ``digest`` stands for it wherever something must be remembered."""

    digest: str
    owner: str
    administrator: bool


class KeyRing:
    """Finds keys by their SHA-256: what the time of a look-up tells about a hash tells nothing about its key."""

    def __init__(self, plain: Mapping[str, str], administrators: list[str], path: Path, log: LogBook) -> None:
        """``plain``: key → owner, from the settings; ``path``: the key file."""
        self._administrators = set(administrators)
        self._plain = {digest_of(key): self._known(digest_of(key), owner) for key, owner in plain.items() if key}
        self._stored: dict[str, KnownKey] = {}
        self._path = path
        self._log = log
        self._seen: _Look | None = None
        self.damage = ""
        """Why the key file cannot be read; then its keys are not valid, but keys are needed."""

    @property
    def configured(self) -> bool:
        """Whether keys are needed at all."""
        return bool(self._plain or self._stored or self.damage)

    def find(self, key: str) -> KnownKey | None:
        """Return what a key is, if it is valid."""
        return self.known(digest_of(key))

    def known(self, digest: str) -> KnownKey | None:
        """Return the valid key of a digest."""
        return self._plain.get(digest) or self._stored.get(digest)

    async def refresh(self) -> None:
        """Read the key file again if it has changed."""
        seen, stored, damage = await asyncio.to_thread(self._look)
        if stored is None and damage == self.damage:
            return
        self._seen, self.damage = seen, damage
        self._stored = {key.sha256: self._known(key.sha256, key.owner, key.administrator) for key in stored or []}
        if damage:
            self._log.add(damage, "error")

    async def watching(self, app: web.Application) -> AsyncIterator[None]:
        """Keep up with the key file for as long as the application runs."""
        await self.refresh()
        task = asyncio.create_task(self._watch())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.refresh()

    def _look(self) -> tuple[_Look | None, list[StoredKey] | None, str]:
        """Return what the file looks like, its keys if it has changed, and why it cannot be read."""
        found: _Look | None = None
        try:
            with contextlib.suppress(FileNotFoundError):
                state = self._path.stat()
                found = (state.st_mtime_ns, state.st_size, state.st_ino)
            if found == self._seen:
                return found, None, self.damage
            return found, read_keys(self._path), ""
        except KeyFileError as error:
            return found, None, str(error)
        except OSError as error:
            return found, None, f"The keys in {self._path} cannot be read: {error}."

    def _known(self, digest: str, owner: str, administrator: bool = False) -> KnownKey:
        return KnownKey(digest, owner, administrator or owner in self._administrators)
