"""Log-ins of the pages: a random token in a cookie stands for a key. Only hashes are kept, also on disk."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from pathlib import Path

import msgspec
from aiohttp import web

from ..log_book import LogBook
from ..set_aside import DAMAGED_JSON
from .key_file import digest_of, write_private

MAX_SESSIONS = 1024
"""The oldest makes room for a new one."""
MAX_OF_ONE_KEY = 32
"""Likewise, so that nobody logs others out by logging in often."""


class Session(msgspec.Struct, frozen=True):
    """``key``: the digest of the key that was shown; ``expires``: seconds since the epoch."""

    token: str
    key: str
    expires: float


class Sessions:
    """The open log-ins of one server. Its cookie has a name of its own: cookies know no ports."""

    def __init__(self, path: Path, lifetime: float, log: LogBook) -> None:
        self._path = path
        self._log = log
        self._saving = asyncio.Lock()
        self._open: dict[str, Session] = {}
        self.lifetime = lifetime
        self.cookie = f"millrace_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"

    async def load(self, _: web.Application) -> None:
        """Go on with the log-ins of the last run; where they cannot be read, everybody logs in again."""
        try:
            data = await asyncio.to_thread(self._path.read_bytes)
            sessions = msgspec.json.decode(data, type=list[Session])
        except FileNotFoundError:
            return
        except (OSError, *DAMAGED_JSON) as error:
            self._log.add(f"The log-ins in {self._path} cannot be read: {error}. Everybody logs in again.", "warning")
            return
        self._open = {session.token: session for session in sessions[-MAX_SESSIONS:]}

    def key_of(self, request: web.Request) -> str | None:
        """Return the digest of the key that a request's log-in stands for."""
        token = request.cookies.get(self.cookie)
        session = self._open.get(digest_of(token)) if token else None
        return session.key if session is not None and session.expires > time.time() else None

    async def begin(self, key: str) -> str:
        """Open a log-in for the digest of a key; return its token."""
        token = secrets.token_urlsafe(32)
        session = Session(digest_of(token), key, time.time() + self.lifetime)
        self._open = {one.token: one for one in self._open.values() if one.expires > time.time()}
        own = [one.token for one in self._open.values() if one.key == key]
        if len(own) >= MAX_OF_ONE_KEY:
            del self._open[own[0]]
        while len(self._open) >= MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        self._open[session.token] = session
        await self._save()
        return token

    async def end(self, request: web.Request) -> None:
        """Close the log-in of a request."""
        token = request.cookies.get(self.cookie)
        if token and self._open.pop(digest_of(token), None) is not None:
            await self._save()

    async def _save(self) -> None:
        """A log-in that cannot be kept lasts until the server ends."""
        async with self._saving:
            data = msgspec.json.encode(list(self._open.values()))
            try:
                await asyncio.to_thread(write_private, self._path, data)
            except OSError as error:
                self._log.add(f"The log-ins cannot be kept in {self._path}: {error}", "warning")
