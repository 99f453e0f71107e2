"""Proves that the installed llama.cpp computes rightly on this processor. Exit status 0: it does.

    python prove_llama_cpp.py

Where a build is wrong for the machine it dies here by a signal, or what it computes is wrong, before anybody's chat
does. A tiny model is written in F16 and quantised as people's models are. Each file reads a prompt alone and several
prompts in one batch, and goes on with them together. What it says must be what the same model says in NumPy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from llamachat.engine import native
from llamachat.engine.context import Context, Outcome
from llamachat.engine.machine import physical_cores
from llamachat.engine.model import Model
from llamachat.engine.scheduler import Chunk
from proof.reference import log_probabilities, log_softmax
from proof.tiny_model import CONTEXT, VOCABULARY, Matrix, Weights, make_weights, write_model

PROMPT_LENGTHS = (128, 101, 113)
"""Longer than one pass of a fast path; only prompts of two tokens and more take all of them."""

GENERATED = 4
"""Tokens that go through the model one by one after the prompt, as in a chat."""

FORMATS = {
    "F16": None,
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,  # with some matrices in Q6_K
    "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
}
BOUND = {"F16": 0.03}
BOUND_QUANTISED = 0.15
"""The most that the log-probabilities of one step may differ, as the root of the mean square over the vocabulary.

What rounding makes of it is a third of that; see ``docs/adr/012-builds-that-prove-themselves.md``.
"""

_THREADS = 2  # enough to divide the work; on a busy machine more would wait for each other


class WrongAnswerError(Exception):
    """What llama.cpp computes is wrong; the text says how."""


def prove(folder: Path) -> dict[str, float]:
    """Return how far off the worst step was, for each format. Raises ``WrongAnswerError``."""
    native.start()
    weights = make_weights()
    chance = np.random.default_rng(2)
    texts = [chance.integers(3, VOCABULARY, length + GENERATED).tolist() for length in PROMPT_LENGTHS]
    expected = _expected(weights, texts)
    plain = write_model(folder / "F16.gguf", weights)
    return {name: _check(name, _file(plain, name), texts, expected) for name in FORMATS}


def _expected(weights: Weights, texts: Sequence[Sequence[int]]) -> list[Matrix]:
    """For each text what follows its prompt, and what follows each token after that."""
    return [log_probabilities(weights, text)[-GENERATED - 1 :] for text in texts]


def _file(plain: Path, name: str) -> Path:
    kind = FORMATS[name]
    if kind is None:
        return plain
    target = plain.with_name(f"{name}.gguf")
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = kind, 1
    if llama_cpp.llama_model_quantize(str(plain).encode(), str(target).encode(), parameters) != 0:
        raise WrongAnswerError(f"{name}: llama.cpp cannot quantise a model: {native.take_errors()}")
    return target


def _check(name: str, path: Path, texts: Sequence[Sequence[int]], expected: Sequence[Matrix]) -> float:
    model = Model(path, gpu_layers=0)
    try:
        alone = list(_differences(model, texts[:1], expected[:1]))
        together = list(_differences(model, texts, expected))
    finally:
        model.close()
    greatest, bound = float(np.max([*alone, *together])), BOUND.get(name, BOUND_QUANTISED)
    if not greatest <= bound:  # also when it is no number
        raise WrongAnswerError(
            f"{name}: the log-probabilities are wrong by {greatest:.3g}, and {bound} is the most that rounding explains"
        )
    return greatest


def _differences(model: Model, texts: Sequence[Sequence[int]], expected: Sequence[Matrix]) -> Iterator[float]:
    """Read the prompts in one batch, go on with all of them token by token, and compare at each step."""
    threads = min(_THREADS, physical_cores())
    context = Context(model, length=CONTEXT, sequences=len(texts), threads=threads, batch=CONTEXT)
    try:
        done = [0] * len(texts)
        for step in range(GENERATED + 1):
            ends = [len(text) - GENERATED + step for text in texts]
            chunks = [
                Chunk(number, number, done[number], text[done[number] : ends[number]], wants_output=True)
                for number, text in enumerate(texts)
            ]
            if context.decode(chunks) is not Outcome.DONE:
                raise WrongAnswerError(f"llama.cpp does not take a batch: {native.take_errors()}")
            last = -1
            for number, chunk in enumerate(chunks):
                last += len(chunk.tokens)
                said = log_softmax(context.logits(last))
                yield float(np.sqrt(np.square(said - expected[number][step]).mean()))
            done = ends
    finally:
        context.close()


def main() -> int:
    """Prove it; say in the last line how far off it was, or what is wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-proof-") as folder:
        try:
            found = prove(Path(folder))
        except Exception as problem:
            print(f"error: {problem}", file=sys.stderr)
            return 1
    differences = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
    print(f"greatest difference of the log-probabilities: {differences}; {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
