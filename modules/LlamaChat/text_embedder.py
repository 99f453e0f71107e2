"""Making vectors of texts with an embedding model: the class that programs and the module's adapter use.

Texts of like meaning get vectors that point the same way, so that the product of two says how alike they are::

    embedder = TextEmbedder(filename="my-embedding-model.gguf", model_dir="models")
    first, second = embedder.embed(["What is a module?", "A folder with a program."]).vectors
    print(first @ second)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from llamachat.chat.model_file import find_model
from llamachat.chat.progress import Progress, no_progress
from llamachat.engine import native
from llamachat.engine.embedder import Embedder, Vectors, normalised
from llamachat.engine.errors import ModelUnavailableError, RequestRefusedError
from llamachat.engine.gguf_header import read_header
from llamachat.engine.machine import sensible_threads
from llamachat.engine.model import Model

DEFAULT_LIMIT = 2048
"""Tokens; what a batch needs beside the model grows with the square of it."""


@dataclass(frozen=True)
class Embeddings:
    """``vectors``: a row of length 1 for each text. ``tokens``: of all texts together."""

    vectors: Vectors
    tokens: int


class TextEmbedder:
    """A loaded embedding model."""

    def __init__(
        self,
        repo_id: str = "",
        fileglob: str = "",
        filename: str = "",
        model_dir: str | Path = "models",
        n_ctx: int = 0,
        n_threads: int = 0,
        n_gpu_layers: int = -1,
        verbose: bool = False,
        on_progress: Progress = no_progress,
    ) -> None:
        """Load the model: the local file, else one downloaded from the repository.

        ``n_ctx``: the most tokens of a text, 0 for what the model was trained for up to 2048. ``n_threads`` 0: the
        physical cores, fewer for a small model. ``n_gpu_layers`` -1: all, where there is a GPU. Raises
        ``ModelUnavailableError``, which says what to do.
        """
        native.start(verbose)
        path = find_model(Path(model_dir), filename, repo_id, fileglob, on_progress)
        kind = read_header(path).kind
        if kind != "embedding":
            raise ModelUnavailableError(f"The model file {path} is for {kind}: it makes no vectors of texts.")
        self.model = Model(path, n_gpu_layers, generates=False)
        try:
            limit = min(n_ctx or DEFAULT_LIMIT, self.model.trained_context)
            self.threads = n_threads or sensible_threads(self.model.parameters)
            self._embedder = Embedder(self.model, limit=limit, threads=self.threads)
            self._try_out()
        except BaseException:
            self.model.close()
            raise

    def _try_out(self) -> None:
        """Make the first vector; without one the embedder is of no use. Raises ``ModelUnavailableError``."""
        try:
            vector = self.embed(["A mill stands by the river."]).vectors[0]
            if not np.isfinite(vector).all() or not vector.any():
                raise ModelUnavailableError(
                    f"The model file {self.model.path} makes no vectors here: what it computes are no numbers. "
                    "It is damaged, or the installed llama.cpp does not fit this machine. Download it again."
                )
        except BaseException:
            self._embedder.close()
            raise

    @property
    def device(self) -> Literal["CPU", "GPU"]:
        """Where the model's layers are."""
        return "GPU" if self.model.gpu_layers else "CPU"

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        return self._embedder.dimensions

    @property
    def limit(self) -> int:
        """The most tokens of one text."""
        return self._embedder.limit

    @property
    def pooling(self) -> str:
        """How the vector of a text comes from those of its tokens: mean, cls (the first) or last."""
        return self._embedder.pooling

    def embed(
        self, texts: Sequence[str], dimensions: int = 0, cancelled: Callable[[], bool] = lambda: False
    ) -> Embeddings:
        """Return the vectors of some texts; several at once take less time than one after another.

        ``dimensions``: keep only so many numbers of each, for models that are made for it; 0 keeps all.
        ``cancelled`` is asked now and then. Raises ``RequestRefusedError`` when a text is empty or too long.
        """
        if not 0 <= dimensions <= self.dimensions:
            raise RequestRefusedError(f"dimensions must be from 1 to {self.dimensions}, not {dimensions}.")
        tokens = [self.model.tokenize(text, special=False, whole=True) for text in texts]
        vectors = self._embedder.embed(tokens, cancelled)
        if 0 < dimensions < self.dimensions:
            vectors = normalised(vectors[:, :dimensions])
        return Embeddings(vectors, sum(map(len, tokens)))

    def close(self) -> None:
        """Free the model."""
        self._embedder.close()
        self.model.close()
