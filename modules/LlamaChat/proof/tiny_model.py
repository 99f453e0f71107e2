"""The model of the proof: two layers of random weights that lose almost nothing when they are quantised.

Every weight is a whole number from -8 to 7 of one unit, and every 16 of a row that lie together have both ends of that
range among them. Then the scale that a quantiser finds for a block is the unit itself, and the models in F16, Q8_0,
Q6_K, Q4_K and Q4_0 are the same function but for rounding. So what they compute may be held against one reference, and
a bound can be narrow: what exceeds it is no loss of precision but a kernel that is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .gguf_writer import F16, GgufFile, Tensor

WIDTH, HIDDEN, LAYERS, HEADS, VOCABULARY = 256, 512, 2, 4, 512
"""The rows of all matrices divide by 256, as the blocks of the K quants and some fast paths want it."""

CONTEXT = 512
EPSILON = 1e-5
ROPE_BASE = 10_000.0
_UNIT = 1 / 64
_GROUP = 16

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Weights = dict[str, Matrix]
"""By name as in the file; a row for each output."""


def make_weights(seed: int = 1) -> Weights:
    """Return the same random weights every time."""
    chance = np.random.default_rng(seed)
    weights = {name: _matrix(chance, VOCABULARY, WIDTH) for name in ("token_embd", "output")}
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights[f"blk.{layer}.{name}"] = _matrix(chance, WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            weights[f"blk.{layer}.{name}"] = _matrix(chance, HIDDEN, WIDTH)
        weights[f"blk.{layer}.ffn_down"] = _matrix(chance, WIDTH, HIDDEN)
    return weights


def write_model(path: Path, weights: Weights) -> Path:
    """Write the model in F16."""
    file = GgufFile(
        {
            "general.architecture": "llama",
            "general.name": "Proof",
            "general.file_type": 1,
            "llama.context_length": CONTEXT,
            "llama.embedding_length": WIDTH,
            "llama.feed_forward_length": HIDDEN,
            "llama.block_count": LAYERS,
            "llama.attention.head_count": HEADS,
            "llama.attention.layer_norm_rms_epsilon": EPSILON,
            "llama.rope.dimension_count": WIDTH // HEADS,
            "llama.rope.freq_base": ROPE_BASE,
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"t{number}" for number in range(3, VOCABULARY))],
            "tokenizer.ggml.scores": [0.0] * VOCABULARY,
            "tokenizer.ggml.token_type": [2, 3, 3, *[1] * (VOCABULARY - 3)],
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
        }
    )
    for name in ("output_norm", *(f"blk.{layer}.{norm}_norm" for layer in range(LAYERS) for norm in ("attn", "ffn"))):
        file.add(f"{name}.weight", (WIDTH,), [1.0] * WIDTH)
    for name, matrix in weights.items():
        shape = (matrix.shape[1], matrix.shape[0])
        file.tensors[f"{name}.weight"] = Tensor(shape, F16, matrix.astype("<f2").tobytes())
    return file.write(path)


def _matrix(chance: np.random.Generator, rows: int, columns: int) -> Matrix:
    numbers = chance.integers(-7, 8, (rows, columns // _GROUP, _GROUP)).astype(np.float32)
    numbers[:, :, 0], numbers[:, :, 1] = -8, 7
    shuffled = chance.permuted(numbers, axis=2)
    result: Matrix = shuffled.reshape(rows, columns) * np.float32(_UNIT)
    return result
