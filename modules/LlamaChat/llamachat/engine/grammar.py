"""Sampling under a grammar that the reply must follow, by llama.cpp's own grammar stage."""

from __future__ import annotations

import ctypes
import time

import llama_cpp
import numpy as np

from . import native
from .context import Context, Logits
from .errors import RequestRefusedError
from .model import Model

PATIENCE_S = 1.0
"""Processor time that a grammar may take for one token. An ambiguous one takes many times more with each."""

_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class GrammarSampler:
    """Chooses with the chain alone, and once more under the grammar only when it forbids what was chosen.

    Asking the grammar about a whole vocabulary takes longer than most models take for a token, asking it about one
    token nearly nothing. Only the engine's thread may use it.
    """

    def __init__(self, chain: ctypes.c_void_p, grammar: str, begins_after: str, model: Model) -> None:
        """Until the reply contains ``begins_after`` there is no grammar. ``chain`` stays the caller's.

        Raises ``RequestRefusedError`` when llama.cpp cannot use this GBNF grammar.
        """
        self._chain = chain
        self._stage = _grammar_stage(grammar, model)
        self._candidates = _Candidates(model.vocabulary_size)
        self._model = model
        self._begins_after = begins_after.encode()
        self._said = b""

    def sample(self, context: Context, output: int) -> int:
        """Return the next token from the logits at index ``output`` of the last decoded batch.

        Raises ``RequestRefusedError`` when the grammar cannot go on, or takes too long.
        """
        if self._begins_after:
            token = int(llama_cpp.llama_sampler_sample(self._chain, context.pointer, output))
            self._look_for_the_beginning(token)
            return token
        started = time.thread_time()
        logits = context.logits(output)
        token = self._choose(self._candidates.load(logits))
        if not self._allows(token):
            candidates = self._candidates.load(logits)
            self._restrict(candidates)
            token = self._choose(candidates)
            # When nothing is allowed, or the chain itself forbids the rest, it still chooses something.
            if not self._allows(token):
                raise RequestRefusedError("The grammar wants something here that no token of this model can say.")
        llama_cpp.llama_sampler_accept(self._chain, token)
        llama_cpp.llama_sampler_accept(self._stage, token)  # ends the process for a token that it does not allow
        if time.thread_time() - started > PATIENCE_S:
            raise RequestRefusedError(
                "The grammar takes too long to follow, because it can read the same text in very many ways."
            )
        return token

    def close(self) -> None:
        """Free the grammar's native stage."""
        llama_cpp.llama_sampler_free(self._stage)

    def _choose(self, candidates: ctypes.Structure) -> int:
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _restrict(self, candidates: ctypes.Structure) -> None:
        llama_cpp.llama_sampler_apply(self._stage, ctypes.byref(candidates))

    def _allows(self, token: int) -> bool:
        one = llama_cpp.llama_token_data(token, 0.0, 0.0)
        self._restrict(llama_cpp.llama_token_data_array(ctypes.pointer(one), 1, -1, False))
        return bool(one.logit == 0.0)

    def _look_for_the_beginning(self, token: int) -> None:
        said = self._said + self._model.piece(token)
        if self._begins_after in said:
            self._begins_after = b""
        else:
            self._said = said[-len(self._begins_after) :]


class _Candidates:
    """All tokens with their logits, in the form that llama.cpp's samplers work on."""

    def __init__(self, vocabulary_size: int) -> None:
        self._ids = np.arange(vocabulary_size, dtype=np.int32)
        self._rows = np.zeros(vocabulary_size, _TOKEN_DATA)
        self._pointer = self._rows.ctypes.data_as(llama_cpp.llama_token_data_p)

    def load(self, logits: Logits) -> ctypes.Structure:
        """Return them with these logits; valid until the next call."""
        size = len(self._rows)
        self._rows["id"] = self._ids  # samplers sort in place
        self._rows["logit"] = logits
        return llama_cpp.llama_token_data_array(self._pointer, size, -1, False)  # type: ignore[no-any-return]


def _grammar_stage(grammar: str, model: Model) -> ctypes.c_void_p:
    native.take_errors()
    stage = llama_cpp.llama_sampler_init_grammar(model.vocabulary, grammar.encode("utf-8", "replace"), b"root")
    if not stage:
        raise RequestRefusedError(f"The response format is not a usable grammar: {native.take_errors()}.")
    return stage  # type: ignore[no-any-return]
