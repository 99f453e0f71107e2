"""One chat through the engine, and through a bare loop over ``llama_decode`` in the same process.

Runs in LlamaChat's environment: ``python one_stream_worker.py MODEL THREADS CONTEXT``. A line on its standard input
says what to generate: ``{"way": "engine" or "bare", "sampling": {…}, "prompt": TEXT, "tokens": COUNT}``; a line on its
output answers ``{"rate": TOKENS A SECOND, "tokens": COUNT}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import llama_cpp
from llamachat.engine import native
from llamachat.engine.engine import Engine, EngineSettings
from llamachat.engine.model import Model
from llamachat.engine.request import Finish, Request
from llamachat.engine.sampling import Sampling

BATCH = 512
WARM_UP = 8
Times = list[tuple[float, int]]
"""When text came, and how many tokens there were then."""
Way = Callable[[Model, int, int, Sequence[int], Sampling, int], Times]


def through_engine(
    model: Model, threads: int, context: int, prompt: Sequence[int], sampling: Sampling, tokens: int
) -> Times:
    """Return when each piece of a reply of LlamaChat's engine came, and last, when the reply had ended."""
    engine = Engine(model, EngineSettings(slots=1, context=context, threads=threads))
    times: Times = []
    for request in (Request(prompt[:1], sampling, max_tokens=WARM_UP), Request(prompt, sampling, max_tokens=tokens)):
        times = []
        for event in engine.submit(request):
            count = event.completion_tokens if isinstance(event, Finish) else event.tokens
            times.append((time.perf_counter(), count))
    engine.close()
    return times


def bare_loop(
    model: Model, threads: int, context: int, prompt: Sequence[int], sampling: Sampling, tokens: int
) -> Times:
    """Return when each token came of the least that generates a reply: llama.cpp's decode and samplers in turn."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = context
    parameters.n_batch = parameters.n_ubatch = BATCH
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.no_perf = True
    native_context = llama_cpp.llama_init_from_model(model.pointer, parameters)
    _generate(native_context, prompt[:1], sampling, WARM_UP)
    times = _generate(native_context, prompt, sampling, tokens)
    llama_cpp.llama_free(native_context)
    return times


def main(model_file: Path, threads: int, context: int) -> None:
    """Answer until the input ends."""
    native.start()
    model = Model(model_file, gpu_layers=0)
    ways: dict[str, Way] = {"engine": through_engine, "bare": bare_loop}
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        sampling = Sampling(**asked["sampling"], ignore_eos=True)
        way = partial(ways[asked["way"]], model, threads, context)
        # In a thread that ends, as the engine's ends with the engine: OpenMP keeps a team for each thread that has
        # computed, and when all teams together have more threads than there are processors, each waits more slowly.
        with ThreadPoolExecutor(1) as alone:
            times = alone.submit(way, model.tokenize(asked["prompt"]), sampling, asked["tokens"]).result()
        (began, first), (ended, last) = times[0], times[-1]
        # The prompt is not part of it: time counts from the first text.
        print(json.dumps({"rate": (last - first) / (ended - began), "tokens": last}), flush=True)


def _generate(context: Any, prompt: Sequence[int], sampling: Sampling, tokens: int) -> Times:
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    for start in range(0, len(prompt), BATCH):
        part = prompt[start : start + BATCH]
        _decode(context, (llama_cpp.llama_token * len(part))(*part), len(part))
    chain = _chain(sampling)
    token = (llama_cpp.llama_token * 1)()
    times = []
    for number in range(1, tokens + 1):
        token[0] = llama_cpp.llama_sampler_sample(chain, context, -1)
        times.append((time.perf_counter(), number))
        if number < tokens:
            _decode(context, token, 1)
    llama_cpp.llama_sampler_free(chain)
    return times


def _decode(context: Any, tokens: Any, count: int) -> None:
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, count)):
        raise RuntimeError("llama_decode failed")


def _chain(sampling: Sampling) -> Any:
    if sampling.temperature == 0:
        stages = [llama_cpp.llama_sampler_init_greedy()]
    else:
        stages = [
            llama_cpp.llama_sampler_init_top_k(sampling.top_k),
            llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
            llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
            llama_cpp.llama_sampler_init_temp(sampling.temperature),
            llama_cpp.llama_sampler_init_dist(sampling.seed or 0),
        ]
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for stage in stages:
        llama_cpp.llama_sampler_chain_add(chain, stage)
    return chain


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
