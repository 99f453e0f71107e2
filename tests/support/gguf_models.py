"""Tiny models with random weights, written as GGUF files: what they say is nonsense, but it is always the same."""

from __future__ import annotations

import math
import random
from pathlib import Path

from proof.gguf_writer import GgufFile, Value

WIDTH, FORWARD, LAYERS, HEADS = 32, 64, 2, 4
MEAN, CLS, LAST, RANK = 1, 2, 3, 4


class RandomFile(GgufFile):
    """A file whose matrices are random; the same seed gives the same ones."""

    def __init__(self, values: dict[str, Value], seed: int) -> None:
        super().__init__(values)
        self._seed = seed

    def matrix(self, name: str, *shape: int) -> None:
        """Add a tensor of random numbers that keep what goes through it at about the same size."""
        chance = random.Random(f"{self._seed} {name}")
        self.add(name, shape, [chance.gauss(0, shape[0] ** -0.5) for _ in range(math.prod(shape))])

    def ones(self, name: str, size: int = WIDTH) -> None:
        """Add the weight of a normalisation that changes nothing."""
        self.add(name, (size,), [1.0] * size)

    def norm(self, name: str) -> None:
        """Add weight and bias of a normalisation."""
        self.ones(f"{name}.weight")
        self.add(f"{name}.bias", (WIDTH,), [0.0] * WIDTH)


def write_bert(path: Path, pooling: int | None = MEAN, context: int = 64, seed: int = 1) -> Path:
    """Write an encoder that reads words; without a pooling the file says nothing about one."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁mill", "▁race", "▁water", "▁wheel", "▁the", "▁runs"]
    letters = [f"{start}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,?!" for start in ("", "▁")]
    file = RandomFile(
        {
            "general.architecture": "bert",
            "general.name": "Tiny encoder",
            "general.file_type": 0,
            "bert.context_length": context,
            "bert.embedding_length": WIDTH,
            "bert.feed_forward_length": FORWARD,
            "bert.block_count": LAYERS,
            "bert.attention.head_count": HEADS,
            "bert.attention.layer_norm_epsilon": 1e-12,
            "bert.attention.causal": False,
            **({} if pooling is None else {"bert.pooling_type": pooling}),
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.tokens": [*words, *letters],
            "tokenizer.ggml.padding_token_id": 0,
            "tokenizer.ggml.unknown_token_id": 1,
            "tokenizer.ggml.bos_token_id": 2,
            "tokenizer.ggml.seperator_token_id": 3,
        },
        seed,
    )
    file.matrix("token_embd.weight", WIDTH, len(words) + len(letters))
    file.matrix("token_types.weight", WIDTH, 2)
    file.matrix("position_embd.weight", WIDTH, context)
    file.norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            _linear(file, f"{block}.{name}", WIDTH, WIDTH)
        _linear(file, f"{block}.ffn_up", WIDTH, FORWARD)
        _linear(file, f"{block}.ffn_down", FORWARD, WIDTH)
        file.norm(f"{block}.attn_output_norm")
        file.norm(f"{block}.layer_output_norm")
    return file.write(path)


def write_causal(path: Path, pooling: int | None = LAST, context: int = 64, seed: int = 2) -> Path:
    """Write a model like those that chat; with a pooling it is one that makes a vector of a text."""
    file = RandomFile(
        {**_decoder_values("llama", context, pooling), "llama.rope.dimension_count": WIDTH // HEADS}, seed
    )
    file.matrix("token_embd.weight", WIDTH, len(_spm_tokens()))
    file.ones("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            file.ones(f"{block}.{name}.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            file.matrix(f"{block}.{name}.weight", WIDTH, WIDTH)
        file.matrix(f"{block}.ffn_gate.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_up.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_down.weight", FORWARD, WIDTH)
    return file.write(path)


def write_t5_encoder(path: Path, context: int = 64, seed: int = 3) -> Path:
    """Write the encoder half of a T5, which llama.cpp runs with ``llama_encode`` only."""
    values = {**_decoder_values("t5encoder", context, MEAN), "t5encoder.attention.relative_buckets_count": 8}
    file = RandomFile(values, seed)
    file.matrix("token_embd.weight", WIDTH, len(_spm_tokens()))
    file.ones("enc.output_norm.weight")
    for layer in range(LAYERS):
        block = f"enc.blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            file.ones(f"{block}.{name}.weight")
        file.matrix(f"{block}.attn_rel_b.weight", HEADS, 8)
        for name in ("attn_q", "attn_k", "attn_v", "attn_o"):
            file.matrix(f"{block}.{name}.weight", WIDTH, WIDTH)
        file.matrix(f"{block}.ffn_gate.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_up.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_down.weight", FORWARD, WIDTH)
    return file.write(path)


def write_sliding(path: Path, window: int = 32, context: int = 1024, seed: int = 4) -> Path:
    """Write a model most of whose layers look only at the last ``window`` tokens, as Gemma's do."""
    values = _decoder_values("gemma3", context, None)
    layers, head = 6, 8
    values |= {"gemma3.block_count": layers, "gemma3.attention.sliding_window": window}
    values |= {"gemma3.attention.key_length": head, "gemma3.attention.value_length": head}
    file = RandomFile(values, seed)
    file.matrix("token_embd.weight", WIDTH, len(_spm_tokens()))
    file.ones("output_norm.weight")
    for layer in range(layers):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"):
            file.ones(f"{block}.{name}.weight")
        for name in ("attn_q_norm", "attn_k_norm"):
            file.ones(f"{block}.{name}.weight", head)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            file.matrix(f"{block}.{name}.weight", WIDTH, WIDTH)
        file.matrix(f"{block}.ffn_gate.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_up.weight", WIDTH, FORWARD)
        file.matrix(f"{block}.ffn_down.weight", FORWARD, WIDTH)
    return file.write(path)


def write_recurrent(path: Path, context: int = 1024, seed: int = 5) -> Path:
    """Write a model that remembers a conversation in a state of fixed size, as Mamba does."""
    inner, states, rank, kernel = 2 * WIDTH, 8, 4, 4
    values = _decoder_values("mamba", context, None)
    values |= {"mamba.ssm.conv_kernel": kernel, "mamba.ssm.inner_size": inner}
    values |= {"mamba.ssm.state_size": states, "mamba.ssm.time_step_rank": rank}
    file = RandomFile(values, seed)
    file.matrix("token_embd.weight", WIDTH, len(_spm_tokens()))
    file.ones("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        file.ones(f"{block}.attn_norm.weight")
        file.matrix(f"{block}.ssm_in.weight", WIDTH, 2 * inner)
        _linear(file, f"{block}.ssm_conv1d", kernel, inner)
        file.matrix(f"{block}.ssm_x.weight", inner, rank + 2 * states)
        _linear(file, f"{block}.ssm_dt", rank, inner)
        fading = [-0.05 * (1 + number % 7) for number in range(states * inner)]
        file.add(f"{block}.ssm_a", (states, inner), fading)
        file.ones(f"{block}.ssm_d", inner)
        file.matrix(f"{block}.ssm_out.weight", inner, WIDTH)
    return file.write(path)


def _decoder_values(architecture: str, context: int, pooling: int | None) -> dict[str, Value]:
    tokens = _spm_tokens()
    return {
        "general.architecture": architecture,
        "general.name": f"Tiny {architecture}",
        "general.file_type": 0,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.feed_forward_length": FORWARD,
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        **({} if pooling is None else {f"{architecture}.pooling_type": pooling}),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": True,
    }


def _spm_tokens() -> list[str]:
    letters = [*"▁abcdefghijklmnopqrstuvwxyz", "mi", "ll", "▁t", "he", "ra", "ce"]
    return ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)], *letters]


def _linear(file: RandomFile, name: str, inputs: int, outputs: int) -> None:
    file.matrix(f"{name}.weight", inputs, outputs)
    file.add(f"{name}.bias", (outputs,), [0.01] * outputs)
