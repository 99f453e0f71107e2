"""Requests for vectors of texts, and the answer in the shape of OpenAI's embeddings."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llamachat.engine.errors import RequestRefusedError

from .inputs import Values

if TYPE_CHECKING:
    from text_embedder import TextEmbedder

MAX_TEXTS = 2048
MAX_CHARACTERS = 4 * 1024 * 1024
MAX_NUMBERS = 2_000_000
"""All vectors of an answer together: it must fit into one message to the server."""
_DECIMALS = 8  # as exact as the 32-bit numbers are


def answer_embeddings(embedder: TextEmbedder, values: Values, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Check the request and return its answer. Raises ``LlamaChatError`` with what is wrong."""
    started = time.monotonic()
    texts = _texts(values("input"))
    dimensions = _dimensions(values, embedder.dimensions)
    encode = _encoder(values)
    count = len(texts) * (dimensions or embedder.dimensions)
    if count > MAX_NUMBERS:
        most = MAX_NUMBERS * len(texts) // count
        raise RequestRefusedError(f"{len(texts)} texts are too many for this model: send at most {most} at once.")
    found = embedder.embed(texts, dimensions, cancelled)
    took = round((time.monotonic() - started) * 1000)
    return {
        "success": True,
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(found.vectors)
        ],
        "model": embedder.model.name,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
        "processMs": took,
        "inferenceMs": took,
    }


def _texts(values: Sequence[str]) -> list[str]:
    texts: list[str] = []
    for value in values:
        texts.extend(_text_list(value) if value.lstrip().startswith("[") else [value])
    if not texts:
        raise RequestRefusedError("input is missing: send a text, several, or a JSON list of texts.")
    if len(texts) > MAX_TEXTS:
        raise RequestRefusedError(f"input may have at most {MAX_TEXTS} texts, not {len(texts)}.")
    characters = sum(map(len, texts))
    if characters > MAX_CHARACTERS:
        raise RequestRefusedError(f"input may have at most {MAX_CHARACTERS} characters, not {characters}.")
    return texts


def _text_list(value: str) -> list[str]:
    """Read a JSON list of texts; a text that only begins like a list is a text itself."""
    try:
        parsed: Any = json.loads(value)
    except (ValueError, RecursionError):
        return [value]
    if not all(isinstance(text, str) for text in parsed):
        raise RequestRefusedError("input must be a text or a JSON list of texts; numbers of tokens are not understood.")
    return list(parsed)


def _dimensions(values: Values, most: int) -> int:
    text = next(iter(values("dimensions")), "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= most):
        raise RequestRefusedError(f"dimensions must be a whole number from 1 to {most}, not {text[:40]!r}.")
    return int(text)


def _encoder(values: Values) -> Callable[[np.ndarray[Any, Any]], list[float] | str]:
    wanted = next(iter(values("encoding_format")), "").strip() or "float"
    if wanted == "float":
        return lambda vector: [round(number, _DECIMALS) for number in vector.tolist()]
    if wanted == "base64":
        return lambda vector: base64.b64encode(vector.astype("<f4").tobytes()).decode()
    raise RequestRefusedError(f"encoding_format must be float or base64, not {wanted[:40]!r}.")
