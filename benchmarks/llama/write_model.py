"""Writes the model of the benchmark. Runs in the tools' environment: ``python write_model.py VOCABULARY MODEL``.

A llama of 170 million weights, all random: how fast llama.cpp runs a model does not depend on what it has learnt. The
vocabulary is a real one, so that texts become as many tokens as with a real model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

CONTEXT = 32768
WIDTH, LAYERS, HIDDEN, HEADS, KV_HEADS = 768, 14, 3072, 12, 4
BLOCK, BLOCK_BYTES = 32, 18  # Q4_0: a 16-bit scale, then 32 numbers of four bits
NIBBLE_DEVIATION = 4.6  # of the numbers -8 .. 7, all equally likely
TEMPLATE = (
    "{% for message in messages %}{{ '[' + message['role'] + ']\\n' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]\\n' }}{% endif %}"
)


def main(vocabulary: Path, target: Path) -> None:
    """Write the model; ``target`` is there whole or not at all."""
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), "llama")
    tokens, end = _copy_vocabulary(gguf.GGUFReader(str(vocabulary)), writer)
    _describe(writer, tokens)
    for name, array in _tensors(tokens, end, np.random.default_rng(7)):
        kind = gguf.GGMLQuantizationType.Q4_0 if array.dtype == np.uint8 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)


def _copy_vocabulary(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> tuple[int, int]:
    """Copy everything about tokens but the chat template; return how many there are, and which one ends a text."""
    for field in reader.fields.values():
        if field.name.startswith("tokenizer.") and field.name != "tokenizer.chat_template":
            kind, sub_kind = field.types[0], field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), kind, sub_kind)
    writer.add_chat_template(TEMPLATE)
    return len(reader.fields["tokenizer.ggml.tokens"].data), reader.fields["tokenizer.ggml.eos_token_id"].contents()


def _describe(writer: gguf.GGUFWriter, tokens: int) -> None:
    writer.add_name("Random weights for benchmarks")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(tokens)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)


def _tensors(tokens: int, end: int, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and contents: Q4_0 as rows of bytes, norms as 32-bit numbers."""
    ones = np.ones(WIDTH, dtype=np.float32)
    kv_width = WIDTH // HEADS * KV_HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (kv_width, WIDTH),
        "attn_v": (kv_width, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    yield "token_embd.weight", _random_q4_0(random, tokens, WIDTH)
    output = _random_q4_0(random, tokens, WIDTH)
    output[end] = (
        0  # always less likely than forty others: no reply ends by itself, not even where nobody can forbid it
    )
    yield "output.weight", output
    yield "output_norm.weight", ones
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", ones
        yield f"blk.{layer}.ffn_norm.weight", ones
        for name, (rows, columns) in shapes.items():
            yield f"blk.{layer}.{name}.weight", _random_q4_0(random, rows, columns)


def _random_q4_0(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return rows of Q4_0 blocks. The scale keeps what a layer puts out about as large as what comes in."""
    blocks = random.integers(0, 256, (rows * columns // BLOCK, BLOCK_BYTES), dtype=np.uint8)
    scale = np.float16(1 / (NIBBLE_DEVIATION * columns**0.5))
    blocks[:, :2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    return blocks.reshape(rows, columns // BLOCK * BLOCK_BYTES)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
