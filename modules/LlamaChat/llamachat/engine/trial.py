"""The first words of a model: whether this file, on this machine, says anything at all."""

from __future__ import annotations

import numpy as np

from .context import CELL_MULTIPLE, Context, Logits, Outcome
from .errors import EngineStoppedError, ModelUnavailableError
from .model import Model
from .scheduler import Chunk
from .waiting import apart

_PROMPT = "A mill stands by the river, and its wheel turns."


def try_out(model: Model, threads: int) -> int:
    """Let a model read a sentence and go on with it; return the token that it said.

    It happens in a context and on a thread of its own, so that no chat's memory, speed and figures show it. Raises
    ``ModelUnavailableError`` when what it says is nothing.
    """
    return apart(lambda: _first_words(model, threads))


def _first_words(model: Model, threads: int) -> int:
    prompt = model.tokenize(_PROMPT, whole=True)[: CELL_MULTIPLE // 2]
    context = Context(model, length=CELL_MULTIPLE, sequences=1, threads=threads, batch=CELL_MULTIPLE)
    try:
        token = _next(model, context, 0, prompt)
        _next(model, context, len(prompt), [token])
    except EngineStoppedError as problem:
        raise ModelUnavailableError(f"The model file {model.path} gives no tokens here: {problem}") from problem
    finally:
        context.close()
    return token


def _next(model: Model, context: Context, position: int, tokens: list[int]) -> int:
    outcome = context.decode([Chunk(0, 0, position, tokens, wants_output=True)])
    if outcome is not Outcome.DONE:
        raise ModelUnavailableError(f"The model file {model.path} gives no tokens here: {outcome.value}.")
    logits: Logits = context.logits(len(tokens) - 1)
    if np.isnan(logits).any() or not np.isfinite(logits.max()):
        raise ModelUnavailableError(
            f"The model file {model.path} gives no tokens here: what it computes are no numbers. "
            "It is damaged, or the installed llama.cpp does not fit this machine. Download it again."
        )
    return int(logits.argmax())
