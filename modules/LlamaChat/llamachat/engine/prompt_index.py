"""Which beginnings of conversations are stored, found by their tokens. Pure: no disk, no llama.cpp.

A conversation is stored in pieces of a fixed number of tokens; only its last piece may be shorter. A piece is known
by the digest of all tokens before it and by its own tokens, so conversations with a common beginning share the pieces
of it, and a new turn adds pieces without touching the old ones. Nothing but equal tokens ever matches.
"""

from __future__ import annotations

import hashlib
import threading
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DIGEST_BYTES = 16
TOKEN_BYTES = 4
ROOT = bytes(DIGEST_BYTES)
"""The digest of no tokens: the parent of every first piece."""


@dataclass(frozen=True)
class Piece:
    """Some tokens of a conversation. ``parent``: the digest of those before. ``tokens``: 4 bytes each."""

    parent: bytes
    tokens: bytes

    @property
    def length(self) -> int:
        """How many tokens it has."""
        return len(self.tokens) // TOKEN_BYTES

    @property
    def digest(self) -> bytes:
        """What pieces that follow have as ``parent``."""
        return hashlib.blake2b(self.parent + self.tokens, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True)
class Found:
    """A stored piece that begins at token ``start`` of the text one asked for, and fits up to token ``end``."""

    piece: Piece
    start: int
    end: int

    @property
    def whole(self) -> bool:
        """Whether all tokens of the piece fit."""
        return self.end - self.start == self.piece.length


class PromptIndex:
    """The stored pieces. Any thread may call it.

    ``full``: tokens in a full piece; 0 when this kind of model can only go on exactly where a stored state ends:
    then a piece is a whole conversation from its first token, and it fits as a whole or not at all.
    """

    def __init__(self, full: int) -> None:
        self._full = full
        self._children: dict[bytes, list[bytes]] = {}
        self._lock = threading.Lock()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def replace(self, pieces: Iterable[Piece]) -> None:
        """Note that exactly these are stored."""
        fresh = PromptIndex(self._full)
        for piece in pieces:
            fresh.add(piece)
        with self._lock:
            self._children, self._count = fresh._children, fresh._count

    def add(self, piece: Piece) -> None:
        """Note that a piece is stored."""
        with self._lock:
            siblings = self._children.setdefault(piece.parent, [])
            place = bisect_left(siblings, piece.tokens)
            if siblings[place : place + 1] != [piece.tokens]:
                insort(siblings, piece.tokens)
                self._count += 1

    def remove(self, piece: Piece) -> None:
        """Note that a piece is not stored any more; those that follow it are found again once it is."""
        with self._lock:
            siblings = self._children.get(piece.parent, [])
            if piece.tokens in siblings:
                siblings.remove(piece.tokens)
                self._count -= 1
            if not siblings:
                self._children.pop(piece.parent, None)

    def find(self, tokens: Sequence[int], most: int | None = None) -> list[Found]:
        """Return the stored pieces that make up the longest beginning of a text, in order, ``most`` tokens at most."""
        wanted = as_bytes(tokens[:most])
        path: list[Found] = []
        with self._lock:
            parent, start = ROOT, 0
            while (found := self._next(parent, wanted, start)) is not None:
                path.append(found)
                if not found.whole or found.piece.length != self._full:
                    break
                parent, start = found.piece.digest, found.end
        return path

    def missing(self, tokens: Sequence[int], *, ended: bool, least: int) -> tuple[list[Found], Piece] | None:
        """Return the next piece of a conversation to store, after those it follows; None when nothing is worth it.

        There must be ``least`` tokens that are not stored yet. While a conversation grows (not ``ended``), only full
        pieces count.
        """
        path = self.find(tokens)
        covered = path[-1].end if path else 0
        if len(tokens) - covered < least:
            return None
        before = [found for found in path if found.whole and found.piece.length == self._full]
        start = before[-1].end if before else 0
        end = min(start + self._full, len(tokens)) if self._full else len(tokens)
        if not ended and end - start != self._full:
            return None
        parent = before[-1].piece.digest if before else ROOT
        return before, Piece(parent, as_bytes(tokens[start:end]))

    def beginning_of(self, piece: Piece) -> Piece | None:
        """Return the longest stored piece that is a mere beginning of this one: it can go once this one is stored."""
        with self._lock:
            siblings = self._children.get(piece.parent, [])
            shorter = [tokens for tokens in siblings if piece.tokens.startswith(tokens) and tokens != piece.tokens]
        return Piece(piece.parent, max(shorter, key=len)) if shorter else None

    def _next(self, parent: bytes, wanted: bytes, start: int) -> Found | None:
        siblings = self._children.get(parent, [])
        rest = wanted[start * TOKEN_BYTES :]
        if self._full == 0:
            fitting = [tokens for tokens in siblings if rest.startswith(tokens)]
            best = max(fitting, key=len, default=b"")
            common = len(best) // TOKEN_BYTES
        else:
            # In sorted order, what has the longest common beginning is a neighbour.
            place = bisect_left(siblings, rest[: self._full * TOKEN_BYTES])
            neighbours = siblings[max(0, place - 1) : place + 1]
            common, best = max(((_common(tokens, rest), tokens) for tokens in neighbours), default=(0, b""))
        return Found(Piece(parent, best), start, start + common) if common else None


def as_bytes(tokens: Sequence[int]) -> bytes:
    """Return tokens as 4 bytes each."""
    return array("i", tokens).tobytes()


def _common(left: bytes, right: bytes) -> int:
    """Return how many tokens both begin with."""
    low, high = 0, min(len(left), len(right)) // TOKEN_BYTES
    while low < high:  # the beginnings of length ``low`` are equal, those longer than ``high`` are not
        middle = (low + high + 1) // 2
        size = middle * TOKEN_BYTES
        low, high = (middle, high) if left[:size] == right[:size] else (low, middle - 1)
    return low
