"""The first look at a model file, before llama.cpp sees it."""

from __future__ import annotations

from pathlib import Path

from .errors import ModelUnavailableError

MAGIC = b"GGUF"
"""How every GGUF file begins."""


def check_is_gguf(path: Path) -> None:
    """Raise ``ModelUnavailableError`` when the file cannot be read or does not begin like a GGUF file."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as problem:
        raise ModelUnavailableError(f"The model file {path} cannot be read: {problem.strerror}.") from problem
    if magic != MAGIC:
        raise ModelUnavailableError(
            f"The model file {path} is not a GGUF file: it does not begin with the letters GGUF. "
            "Download it again, or choose another file."
        )
