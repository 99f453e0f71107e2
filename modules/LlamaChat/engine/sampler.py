"""From logits to a token, with llama.cpp's own samplers; one sampler for each running chat."""

from __future__ import annotations

import ctypes
import secrets

import llama_cpp
import numpy as np

from . import native
from .context import Context
from .errors import RequestRefusedError
from .model import Model
from .sampling import Sampling

PENALTY_WINDOW = 64
"""How many of the last tokens the penalties look at."""


class Sampler:
    """Chooses tokens for one chat. Only the engine's thread may use it; ``close`` frees the native chain."""

    def __init__(self, sampling: Sampling, model: Model) -> None:
        """Raises ``RequestRefusedError`` when the grammar is not one."""
        self._end_tokens = model.end_tokens if sampling.ignore_eos else []
        self._vocabulary_size = model.vocabulary_size
        self._chain = None if sampling.is_plain_greedy else _build_chain(sampling, model)

    def sample(self, context: Context, output: int) -> int:
        """Return the next token from the logits at index ``output`` of the last decoded batch."""
        if self._chain is not None:
            # Samples and accepts: accepting once more would count the token twice in the penalties.
            return int(llama_cpp.llama_sampler_sample(self._chain, context.pointer, output))
        logits = np.ctypeslib.as_array(context.logits(output), shape=(self._vocabulary_size,))
        logits[self._end_tokens] = -np.inf
        return int(logits.argmax())

    def close(self) -> None:
        """Free the native sampler chain; may be called more than once."""
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _build_chain(sampling: Sampling, model: Model) -> ctypes.c_void_p:
    """Order matters for speed: what is first sees the whole vocabulary, what follows top-k only a few tokens."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    try:
        for stage in [*_whole_vocabulary_stages(sampling, model), *_choice_stages(sampling)]:
            llama_cpp.llama_sampler_chain_add(chain, stage)
    except BaseException:
        llama_cpp.llama_sampler_free(chain)
        raise
    return chain  # type: ignore[no-any-return]


def _whole_vocabulary_stages(sampling: Sampling, model: Model) -> list[ctypes.c_void_p]:
    stages = []
    bias = dict(sampling.logit_bias)
    if sampling.ignore_eos:
        bias.update(dict.fromkeys(model.end_tokens, float("-inf")))
    if bias:
        entries = (llama_cpp.llama_logit_bias * len(bias))(*bias.items())
        stages.append(llama_cpp.llama_sampler_init_logit_bias(model.vocabulary_size, len(bias), entries))
    if sampling.grammar is not None:
        stages.append(_grammar_stage(sampling.grammar, model))
    if sampling.penalises:
        stages.append(
            llama_cpp.llama_sampler_init_penalties(
                model.vocabulary_size,
                PENALTY_WINDOW,
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            )
        )
    return stages


def _choice_stages(sampling: Sampling) -> list[ctypes.c_void_p]:
    if sampling.temperature == 0:
        return [llama_cpp.llama_sampler_init_greedy()]
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
    stages = []
    if sampling.top_k > 0:
        stages.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        stages.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        stages.append(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
    stages.append(llama_cpp.llama_sampler_init_temp(sampling.temperature))
    stages.append(llama_cpp.llama_sampler_init_dist(seed))
    return stages


def _grammar_stage(grammar: str, model: Model) -> ctypes.c_void_p:
    native.take_errors()
    stage = llama_cpp.llama_sampler_init_grammar(model.vocabulary, grammar.encode(), b"root")
    if not stage:
        raise RequestRefusedError(f"The response format is not a usable grammar: {native.take_errors()}")
    return stage  # type: ignore[no-any-return]
