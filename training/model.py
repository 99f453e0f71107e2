"""The network: a small llama (RMSNorm, rotary positions, SwiGLU, tied embeddings), as llama.cpp runs it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Config:
    vocab: int
    dim: int = 256
    layers: int = 4
    heads: int = 4
    hidden: int = 512
    context: int = 8192
    rope_base: float = 10000.0
    norm_eps: float = 1e-5
    dropout: float = 0.1

    def as_dict(self) -> dict[str, int | float]:
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotary(positions: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for neighbouring pairs of values (llama.cpp's "norm" layout, so export permutes nothing)."""
    freq = base ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angle = torch.outer(torch.arange(positions).float(), freq)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.heads = c.heads
        self.attn_norm = RMSNorm(c.dim, c.norm_eps)
        self.q = nn.Linear(c.dim, c.dim, bias=False)
        self.k = nn.Linear(c.dim, c.dim, bias=False)
        self.v = nn.Linear(c.dim, c.dim, bias=False)
        self.o = nn.Linear(c.dim, c.dim, bias=False)
        self.ffn_norm = RMSNorm(c.dim, c.norm_eps)
        self.gate = nn.Linear(c.dim, c.hidden, bias=False)
        self.up = nn.Linear(c.dim, c.hidden, bias=False)
        self.down = nn.Linear(c.hidden, c.dim, bias=False)
        self.drop = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, dim = x.shape
        h = self.attn_norm(x)
        shape = (batch, length, self.heads, dim // self.heads)
        q = rotate(self.q(h).view(shape).transpose(1, 2), cos, sin)
        k = rotate(self.k(h).view(shape).transpose(1, 2), cos, sin)
        v = self.v(h).view(shape).transpose(1, 2)
        a = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(self.o(a.transpose(1, 2).reshape(batch, length, dim)))
        h = self.ffn_norm(x)
        out: Tensor = x + self.drop(self.down(functional.silu(self.gate(h)) * self.up(h)))
        return out


class Llama(nn.Module):
    """`topics`: size of the auxiliary head that names the answer; it is not exported.

    The head reads the last prompt token after the last layer and, the same weights, the bare sum of the question's
    word embeddings. The second teaches every word what it speaks for, which carries over to phrasings never seen.
    """

    def __init__(self, c: Config, topics: int) -> None:
        super().__init__()
        self.config = c
        self.embed = nn.Embedding(c.vocab, c.dim)
        self.drop = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.dim, c.norm_eps)
        self.topic = nn.Linear(c.dim, topics)
        self.tables = rotary(4096, c.dim // c.heads, c.rope_base)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
        for block in self.blocks:
            for name in ("o", "down"):
                nn.init.normal_(getattr(block, name).weight, std=0.02 / (2 * c.layers) ** 0.5)

    def hidden(self, tokens: Tensor) -> Tensor:
        cos, sin = (t[: tokens.shape[1]] for t in self.tables)
        x = self.drop(self.embed(tokens))
        for block in self.blocks:
            x = block(x, cos, sin)
        out: Tensor = self.norm(x)
        return out

    def bag(self, tokens: Tensor, before: Tensor, last: Tensor) -> Tensor:
        """Sums of embeddings over spans of the flattened batch: after position `before`, up to `last`."""
        sums = self.embed(tokens).float().cumsum(1).reshape(-1, self.config.dim)
        out: Tensor = functional.rms_norm(sums[last] - sums[before], (self.config.dim,))
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        out: Tensor = functional.linear(hidden, self.embed.weight)
        return out
