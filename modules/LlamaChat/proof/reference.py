"""What the model of the proof must say: the same arithmetic in NumPy, which shares no code with llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .tiny_model import EPSILON, HEADS, LAYERS, ROPE_BASE, WIDTH, Matrix, Weights

_HEAD = WIDTH // HEADS


def log_probabilities(weights: Weights, tokens: Sequence[int]) -> Matrix:
    """Return a row for each token: the log-probabilities of what comes after it."""
    state = weights["token_embd"][np.asarray(tokens)].astype(np.float32)
    for layer in range(LAYERS):
        state = state + _attention(weights, f"blk.{layer}", _normed(state))
        state = state + _feed_forward(weights, f"blk.{layer}", _normed(state))
    return log_softmax(_through(_normed(state), weights["output"]))


def log_softmax(logits: Matrix) -> Matrix:
    """Return log-probabilities, along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Matrix = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _attention(weights: Weights, block: str, state: Matrix) -> Matrix:
    length = len(state)
    query, key, value = (
        _through(state, weights[f"{block}.attn_{name}"]).reshape(length, HEADS, _HEAD) for name in "qkv"
    )
    scores = np.einsum("qhd,khd->hqk", _turned(query), _turned(key)) / np.float32(_HEAD**0.5)
    scores += np.triu(np.full((length, length), -np.inf, np.float32), 1)  # nobody looks ahead
    mixed = np.einsum("hqk,khd->qhd", np.exp(log_softmax(scores)), value)
    return _through(mixed.reshape(length, WIDTH), weights[f"{block}.attn_output"])


def _feed_forward(weights: Weights, block: str, state: Matrix) -> Matrix:
    gate, up = (_through(state, weights[f"{block}.ffn_{name}"]) for name in ("gate", "up"))
    return _through(gate / (1 + np.exp(-gate)) * up, weights[f"{block}.ffn_down"])


def _through(state: Matrix, weight: Matrix) -> Matrix:
    """Multiply without the threads of a BLAS: on a busy machine they would wait for each other for seconds."""
    result: Matrix = np.einsum("ij,kj->ik", state, weight)
    return result


def _turned(heads: Matrix) -> Matrix:
    """Turn each pair of neighbouring numbers by an angle that grows with the position."""
    speeds = ROPE_BASE ** (-np.arange(0, _HEAD, 2) / _HEAD)
    angles = np.arange(len(heads))[:, None, None] * speeds
    cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    even, odd = heads[..., 0::2], heads[..., 1::2]
    turned = np.stack((even * cosine - odd * sine, even * sine + odd * cosine), axis=-1)
    result: Matrix = turned.reshape(heads.shape)
    return result


def _normed(state: Matrix) -> Matrix:
    result: Matrix = state / np.sqrt((state**2).mean(axis=-1, keepdims=True) + EPSILON)
    return result
