"""What a stored prompt state belongs to: the same bytes mean something else to another model or another llama.cpp."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_BYTES = 16
_BLOCKS = 64
_BLOCK_BYTES = 64 * 1024


def fingerprint(model_file: Path, *meaning: object) -> bytes:
    """Return 16 bytes that tell models apart by what is in their file, and everything else in ``meaning`` too.

    Blocks all over the file are read, the first and the last among them: enough to tell two models apart, without
    reading gigabytes. Its name and time do not matter. Raises ``OSError`` when it cannot be read.
    """
    digest = hashlib.blake2b(repr(meaning).encode(), digest_size=_BYTES)
    for part in _parts(model_file):
        with part.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(size.to_bytes(8, "little"))
            last = max(0, size - _BLOCK_BYTES)
            for number in range(_BLOCKS):
                file.seek(last * number // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.digest()


def _parts(model_file: Path) -> list[Path]:
    """Return all files of a model: large ones come as ``name-00001-of-00003.gguf`` and so on."""
    split = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", model_file.name)
    if split is None:
        return [model_file]
    name, count = split[1], int(split[2])
    return [model_file.with_name(f"{name}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
