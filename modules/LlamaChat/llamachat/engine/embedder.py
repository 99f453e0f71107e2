"""Vectors from texts: an embedding model's own context, into which several texts go at once.

It needs no scheduler as chats do. A text is one pass through the model and leaves nothing behind, so a batch is filled
with whole texts, run once, and its vectors are read.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llama_cpp
import numpy as np

from . import native
from .context import CELL_MULTIPLE
from .errors import EngineStoppedError, ModelUnavailableError, RequestRefusedError
from .model import Model

TEXTS_AT_ONCE = 32
"""The most texts in one batch."""

POOLINGS = {
    llama_cpp.LLAMA_POOLING_TYPE_MEAN: "mean",
    llama_cpp.LLAMA_POOLING_TYPE_CLS: "cls",
    llama_cpp.LLAMA_POOLING_TYPE_LAST: "last",
}
"""How the vectors of a text's tokens become the one of the text: their mean, the first, or the last."""

Vectors = np.ndarray[Any, np.dtype[np.float32]]


class Embedder:
    """Owns the native context; any thread may ask, and they take turns batch by batch."""

    def __init__(self, model: Model, *, limit: int, threads: int) -> None:
        """``limit``: the most tokens of one text, which is also the most of one batch.

        Raises ``ModelUnavailableError`` when there is not enough memory, or the model makes no vector of a text.
        """
        self.limit = limit
        self._model = model
        self._lock = threading.Lock()
        self._closed = False
        self._pointer = _open(model, limit, threads, llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED)
        if llama_cpp.llama_pooling_type(self._pointer) == llama_cpp.LLAMA_POOLING_TYPE_NONE:
            # The file leaves it open how to make one vector of many; the mean is what such models are trained for.
            llama_cpp.llama_free(self._pointer)
            self._pointer = _open(model, limit, threads, llama_cpp.LLAMA_POOLING_TYPE_MEAN)
        pooling = int(llama_cpp.llama_pooling_type(self._pointer))
        if pooling not in POOLINGS:
            llama_cpp.llama_free(self._pointer)
            raise ModelUnavailableError(f"The model file {model.path} makes no vectors of texts; it ranks texts.")
        self.pooling = POOLINGS[pooling]
        self.dimensions = int(llama_cpp.llama_model_n_embd_out(model.pointer))
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._batch = llama_cpp.llama_batch_init(limit, 0, 1)
        self._run = llama_cpp.llama_decode if model.has_decoder else llama_cpp.llama_encode

    def check(self, texts: Sequence[Sequence[int]]) -> None:
        """Raise ``RequestRefusedError`` when a text has no tokens or too many of them."""
        for number, tokens in enumerate(texts):
            if not tokens:
                raise RequestRefusedError(f"Text {number} is empty.")
            if len(tokens) > self.limit:
                raise RequestRefusedError(
                    f"Text {number} is too long: it has {len(tokens)} tokens, and the limit is {self.limit}. "
                    "Cut it into parts, or raise CPAI_MODULE_LLAMA_CONTEXT if the model can take more."
                )

    def embed(self, texts: Sequence[Sequence[int]], cancelled: Callable[[], bool] = lambda: False) -> Vectors:
        """Return one vector of length 1 for each text, given as its tokens; ``cancelled`` is asked before each batch.

        Raises what ``check`` raises, and ``EngineStoppedError`` when llama.cpp fails or the wait was cancelled.
        """
        self.check(texts)
        parts = [np.empty((0, self.dimensions), np.float32)]
        for group in _groups(texts, self.limit):
            if cancelled():
                raise EngineStoppedError("The request was cancelled.")
            with self._lock:
                parts.append(self._vectors(group))
        return normalised(np.concatenate(parts))

    def close(self) -> None:
        """Free the context, after the batch that runs."""
        with self._lock:
            if not self._closed:
                self._closed = True
                llama_cpp.llama_batch_free(self._batch)
                llama_cpp.llama_free(self._pointer)

    def _vectors(self, group: Sequence[Sequence[int]]) -> Vectors:
        if self._closed:
            raise EngineStoppedError("The module is stopping.")
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        self._fill(group)
        native.take_errors()
        code = int(self._run(self._pointer, self._batch))
        if code != 0:
            raise EngineStoppedError(f"llama.cpp failed with code {code}: {native.take_errors() or 'no reason given'}")
        vectors = np.empty((len(group), self.dimensions), np.float32)
        for sequence in range(len(group)):
            vector = llama_cpp.llama_get_embeddings_seq(self._pointer, sequence)
            if not vector:
                raise EngineStoppedError("llama.cpp has made no vector of a text.")
            vectors[sequence] = np.ctypeslib.as_array(vector, (self.dimensions,))
        return vectors

    def _fill(self, group: Sequence[Sequence[int]]) -> None:
        batch, index = self._batch, 0
        for sequence, tokens in enumerate(group):
            for position, token in enumerate(tokens):
                batch.token[index] = token
                batch.pos[index] = position
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = sequence
                batch.logits[index] = 1  # every token has a part in the vector
                index += 1
        batch.n_tokens = index


def normalised(vectors: Vectors) -> Vectors:
    """Return the vectors with length 1; one of zeros stays as it is."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    result: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return result


def _groups(texts: Sequence[Sequence[int]], most_tokens: int) -> Iterator[Sequence[Sequence[int]]]:
    """Divide the texts into batches, in order."""
    start = tokens = 0
    for index, text in enumerate(texts):
        if index > start and (tokens + len(text) > most_tokens or index - start == TEXTS_AT_ONCE):
            yield texts[start:index]
            start, tokens = index, 0
        tokens += len(text)
    if start < len(texts):
        yield texts[start:]


def _open(model: Model, limit: int, threads: int, pooling: int) -> ctypes.c_void_p:
    native.take_errors()
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = -(-limit // CELL_MULTIPLE) * CELL_MULTIPLE
    # A text must go through the model in one piece: its tokens may look at those that follow, and are pooled.
    parameters.n_batch = parameters.n_ubatch = limit
    parameters.n_seq_max = TEXTS_AT_ONCE
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.kv_unified = True  # else the texts of a batch would be torn apart into several passes
    parameters.embeddings = True
    parameters.pooling_type = pooling
    parameters.no_perf = True
    pointer = llama_cpp.llama_init_from_model(model.pointer, parameters)
    if not pointer:
        raise ModelUnavailableError(
            f"There is not enough memory for texts of {limit} tokens beside the model "
            f"({native.take_errors() or 'llama.cpp gave no reason'}). Lower CPAI_MODULE_LLAMA_CONTEXT, or choose a "
            "smaller model."
        )
    return pointer  # type: ignore[no-any-return]
