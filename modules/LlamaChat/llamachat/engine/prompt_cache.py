"""Prompt states that outlive the process: what is stored, and the two threads that read and write it.

The engine's thread asks ``find`` and ``missing`` and never waits for the disk. A disk that fails switches the cache
off, with one line in the log: chats go on, they only compute what could have been remembered.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .prompt_index import Found, Piece, PromptIndex
from .prompt_store import PromptStore
from .sequence_state import State, cut

_log = logging.getLogger(__name__)

Deliver = Callable[[State | None, int], None]
"""Takes what was read: a state and how many tokens of the prompt it has; None and 0 when there is nothing good."""

WORTH_IT = 16
"""Tokens. Fewer are computed about as fast as they are read, even by a small model on a fast machine."""

_MOST_WAITING_BYTES = 1024**3
_OPENING_S = 5.0
_LOOK_AGAIN = 256


class PromptCache:
    """The stored pieces of conversations. Any thread may use it; the calls that may wait are named so."""

    def __init__(
        self,
        folder: Path | None,
        fingerprint: Callable[[], bytes],
        *,
        full: int,
        join: Callable[[Sequence[State]], State | None],
        most_bytes: int,
        wake: Callable[[], None],
    ) -> None:
        """Open the folder; without one, nothing is stored and nothing found.

        ``full``: see ``PromptIndex``. ``join`` makes one state of pieces that follow each other. ``wake`` is called,
        as ``join`` on another thread, whenever something was read or written.
        """
        self.bytes_used = 0
        self._most_bytes = most_bytes
        self._wake = wake
        self._full = full
        self._join = join
        self._index = PromptIndex(full)
        self._store: PromptStore | None = None
        self._failed = False
        self._changed = threading.Condition()
        self._waiting: list[int] = []
        self._writes = 0
        self._reader, self._writer = _Worker("prompt-reader"), _Worker("prompt-writer")
        if folder is not None:
            opened = threading.Event()
            self._writer.do(lambda: self._guarded(lambda: self._open(folder, fingerprint())))
            self._writer.do(opened.set)
            opened.wait(_OPENING_S)  # a folder that takes longer is used from when it is ready

    def __len__(self) -> int:
        return len(self._index) if self.is_on else 0

    @property
    def is_on(self) -> bool:
        """Whether the folder is open and the disk works."""
        return self._store is not None and not self._failed

    @property
    def is_writing(self) -> bool:
        """Whether something is still on its way to the disk."""
        return bool(self._waiting)

    def wait_written(self, seconds: float) -> bool:
        """Wait until everything is on the disk; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, max(0.0, seconds))

    def find(self, tokens: Sequence[int]) -> list[Found]:
        """Return the stored pieces of the longest beginning of a prompt, in order; its last token is never in them."""
        return self._index.find(tokens, len(tokens) - 1) if self.is_on else []

    def lacks(self, tokens: Sequence[int], *, ended: bool) -> bool:
        """Whether there is something of a conversation worth storing, and it can be written before long."""
        if not self.is_on or sum(self._waiting) > _MOST_WAITING_BYTES:
            return False
        return self._index.missing(tokens, ended=ended, least=WORTH_IT) is not None

    def load(self, path: Sequence[Found], deliver: Deliver) -> None:
        """Read, check and join the pieces, as long as they are good; ``deliver`` is called once, on another thread."""

        def work() -> None:
            read: list[tuple[State | None, int]] = []
            self._guarded(lambda: read.append(self._read(path)))
            deliver(*(read[0] if read else (None, 0)))
            self._wake()

        self._reader.do(work)

    def save(self, tokens: Sequence[int], state: State, done: Callable[[float], None], *, ended: bool) -> None:
        """Write what is not stored yet of a conversation, whose whole copied state this is.

        ``done`` gets the seconds it took, on another thread. ``tokens`` must not change any more.
        """
        with self._changed:
            self._waiting.append(state.nbytes)

        def work() -> None:
            started = time.monotonic()
            self._guarded(lambda: self._write_missing(tokens, state, ended))
            done(time.monotonic() - started)
            with self._changed:
                self._waiting.pop(0)
                self._changed.notify_all()
            self._wake()

        self._writer.do(work)

    def discard(self, path: Sequence[Found]) -> None:
        """Remove pieces that llama.cpp did not take."""
        for found in path:
            self._index.remove(found.piece)

        def work() -> None:
            for found in path:
                self._opened.delete(found.piece)

        self._writer.do(lambda: self._guarded(work))

    def close(self, seconds: float) -> None:
        """Wait for what was begun, at most so long, and use the disk no more."""
        end = time.monotonic() + seconds
        workers = (self._reader, self._writer)
        for worker in workers:
            worker.do(lambda: self._guarded(self._close_store))
            worker.end()
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()))

    # Everything below runs on the reader's or the writer's thread.

    @property
    def _opened(self) -> PromptStore:
        if self._store is None:
            raise OSError("the folder is not open")
        return self._store

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            if not self._failed:
                work()
        except Exception as problem:
            # Whatever it is, a cache must not fail a chat.
            if not self._failed:
                reason = f"{type(problem).__name__} {problem}".strip()
                _log.warning("Conversations are not remembered on disk any more: %s", reason)
            self._failed = True

    def _open(self, folder: Path, fingerprint: bytes) -> None:
        store = PromptStore(folder, fingerprint, self._most_bytes)
        self._index.replace(store.pieces())
        self.bytes_used = store.bytes_used
        self._store = store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()

    def _read(self, path: Sequence[Found]) -> tuple[State | None, int]:
        states: list[State] = []
        for found in path:
            try:
                state = self._opened.read(found.piece)
            except ValueError:
                _log.info("A damaged prompt state was removed from the disk")
                state = None
            if state is None:
                self._index.remove(found.piece)
                break
            states.append(state)
        if not states:
            return None, 0
        self._opened.touch([found.piece for found in path[: len(states)]])
        return self._join(states), path[len(states) - 1].end

    def _write_missing(self, tokens: Sequence[int], state: State, ended: bool) -> None:
        reached = -1
        while (missing := self._index.missing(tokens, ended=ended, least=WORTH_IT)) is not None:
            before, piece = missing
            start = before[-1].end if before else 0
            content = cut(state, start, start + piece.length) if self._full else state
            # Where the limit is small, a new piece may push an older one of the same conversation out.
            if content is None or start <= reached:
                return
            reached = start
            self._write(before, piece, content)

    def _write(self, before: Sequence[Found], piece: Piece, state: State) -> None:
        store = self._opened
        shorter = self._index.beginning_of(piece)
        if store.write(piece, state):
            self._index.add(piece)
        if shorter is not None:
            store.delete(shorter)
            self._index.remove(shorter)
        for gone in store.touch([found.piece for found in before]):
            self._index.remove(gone)
        self._writes += 1
        if self._writes % _LOOK_AGAIN == 0:
            # What had to leave since then is noticed now, and what other processes have stored.
            self._index.replace(store.pieces())
        self.bytes_used = store.bytes_used


class _Worker:
    """A thread that does one thing after the other, and never keeps the process from ending."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], object]) -> None:
        self._work.put(work)

    def end(self) -> None:
        """End after what was asked for so far."""
        self._work.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
