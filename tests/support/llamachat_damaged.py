"""Runs the proof as if llama.cpp lost a part of one matrix: ``python llamachat_damaged.py FORMAT MATRIX EVERY``.

The model file holds the matrix without every ``EVERY``-th block of 32, the reference has it whole. Exit status as the
proof's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import prove_llama_cpp
from proof.tiny_model import Weights, write_model

BLOCK = 32


def main(form: str, matrix: str, every: int) -> int:
    def write_damaged(path: Path, weights: Weights) -> Path:
        damaged = weights[matrix].copy()
        blocks = damaged.reshape(-1, BLOCK)
        blocks[::every] = 0
        return write_model(path, {**weights, matrix: damaged})

    prove_llama_cpp.FORMATS = {form: prove_llama_cpp.FORMATS[form]}
    prove_llama_cpp.write_model = write_damaged  # type: ignore[attr-defined]
    return prove_llama_cpp.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
