"""What a request may get wrong, and the numbers that requests carry."""

from __future__ import annotations

import re

_DIGITS = 15
"""Whole numbers of so many digits are exact everywhere, also in JavaScript."""
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?")
_SHOWN = 60


class BadRequestError(Exception):
    """A request that cannot be understood or taken; ``status`` is the HTTP status that says so."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def whole_number(text: str, name: str) -> int:
    """Return a whole number from 0 up that a client has sent. Raises ``BadRequestError``."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise BadRequestError(f"'{name}' must be a whole number from 0 up, not '{shortened(text)}'.")
    return int(text)


def seconds(text: str, name: str) -> float:
    """Return a time from 0 up that a client has sent, such as ``2`` or ``0.5``. Raises ``BadRequestError``."""
    if not _SECONDS.fullmatch(text):
        raise BadRequestError(f"'{name}' must be a number of seconds from 0 up, not '{shortened(text)}'.")
    return float(text)


def shortened(text: str) -> str:
    """Return what a client has sent, short enough to be repeated in an answer."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
