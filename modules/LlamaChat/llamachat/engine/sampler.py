"""From logits to a token, with llama.cpp's own samplers; one sampler for each running chat."""

from __future__ import annotations

import ctypes
import secrets

import llama_cpp
import numpy as np

from .context import Context
from .grammar import GrammarSampler
from .model import Model
from .sampling import Sampling

PENALTY_WINDOW = 64
"""How many of the last tokens the penalties look at."""


class Sampler:
    """Chooses tokens for one chat. Only the engine's thread may use it; ``close`` frees what is native in it."""

    def __init__(self, sampling: Sampling, model: Model) -> None:
        """Raises ``RequestRefusedError`` when the grammar is not one."""
        self._end_tokens = model.end_tokens if sampling.ignore_eos else []
        self._chain = None if sampling.is_plain_greedy else _build_chain(sampling, model)
        self._constrained: GrammarSampler | None = None
        if self._chain is not None and sampling.grammar is not None:
            try:
                self._constrained = GrammarSampler(self._chain, sampling.grammar, sampling.grammar_after, model)
            except BaseException:
                self.close()
                raise

    def sample(self, context: Context, output: int) -> int:
        """Return the next token from the logits at index ``output`` of the last decoded batch.

        Raises ``RequestRefusedError`` when the grammar cannot go on. The logits stay as they were.
        """
        if self._constrained is not None:
            return self._constrained.sample(context, output)
        if self._chain is not None:
            # Samples and accepts: accepting once more would count the token twice in the penalties.
            return int(llama_cpp.llama_sampler_sample(self._chain, context.pointer, output))
        logits = context.logits(output)
        if not self._end_tokens:
            return int(logits.argmax())
        kept = logits[self._end_tokens]
        logits[self._end_tokens] = -np.inf
        token = int(logits.argmax())
        logits[self._end_tokens] = kept
        return token

    def close(self) -> None:
        """Free the native samplers; may be called more than once."""
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None
        if self._constrained is not None:
            self._constrained.close()
            self._constrained = None


def _build_chain(sampling: Sampling, model: Model) -> ctypes.c_void_p:
    """Order matters for speed: what is first sees the whole vocabulary, what follows top-k only a few tokens."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for stage in [*_whole_vocabulary_stages(sampling, model), *_choice_stages(sampling)]:
        llama_cpp.llama_sampler_chain_add(chain, stage)
    return chain  # type: ignore[no-any-return]


def _whole_vocabulary_stages(sampling: Sampling, model: Model) -> list[ctypes.c_void_p]:
    stages = []
    bias = dict(sampling.logit_bias)
    if sampling.ignore_eos:
        bias.update(dict.fromkeys(model.end_tokens, float("-inf")))
    if bias:
        entries = (llama_cpp.llama_logit_bias * len(bias))(*bias.items())
        stages.append(llama_cpp.llama_sampler_init_logit_bias(model.vocabulary_size, len(bias), entries))
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
