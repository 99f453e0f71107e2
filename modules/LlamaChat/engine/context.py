"""The native context: the memory of all sequences, and the call that decodes a batch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import Enum
from typing import Any

import llama_cpp

from . import native
from .errors import EngineStoppedError, ModelUnavailableError
from .model import Model
from .scheduler import Chunk

CELL_MULTIPLE = 256
"""llama.cpp rounds the number of cells up to a multiple of this."""


class Outcome(Enum):
    """What ``llama_decode`` says, apart from fatal errors."""

    DONE = "done"
    NO_SPACE = "no space"  # nothing was changed
    PARTLY_DONE = "partly done"  # an unknown part was processed: ask ``length`` for each sequence
    INVALID = "invalid"  # nothing was changed


class Context:
    """Owns the native context. Only the engine's thread may call it.

    All sequences share one pool of ``cells`` (``kv_unified``), so that one long chat may use what others leave,
    and a common beginning of several chats is kept once.
    """

    def __init__(self, model: Model, *, cells: int, sequences: int, threads: int, batch: int) -> None:
        """``sequences``: how many it can remember at once. ``batch``: the most tokens in one step."""
        native.take_errors()
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-cells // CELL_MULTIPLE) * CELL_MULTIPLE
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # a row of logits is large: none for tokens that are not sampled
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True
        parameters.no_perf = True
        self._pointer = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise ModelUnavailableError(
                f"There is not enough memory for a context of {cells} tokens beside the model "
                f"({native.take_errors() or 'llama.cpp gave no reason'}). Lower CPAI_MODULE_LLAMA_CONTEXT or "
                "Parallelism, or choose a smaller model."
            )
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The native context, for the native samplers."""
        return self._pointer  # type: ignore[no-any-return]

    @property
    def cells(self) -> int:
        """Tokens that all sequences together can hold."""
        return int(llama_cpp.llama_n_ctx(self._pointer))

    def decode(self, chunks: Sequence[Chunk]) -> Outcome:
        """Run the model over the chunks. The output of a chunk that wants one has the index of its last token.

        Raises ``EngineStoppedError`` when llama.cpp reports a fatal error.
        """
        self._fill(chunks)
        native.take_errors()
        code = int(llama_cpp.llama_decode(self._pointer, self._batch))
        if code == 0:
            return Outcome.DONE
        if code == 1:
            return Outcome.NO_SPACE
        if code == 2:
            return Outcome.PARTLY_DONE
        if code == -1:
            return Outcome.INVALID
        raise EngineStoppedError(f"llama.cpp failed with code {code}: {native.take_errors() or 'no reason given'}")

    def logits(self, output: int) -> Any:
        """Return the logits at a batch index as a C float pointer; valid until the next ``decode``."""
        logits = llama_cpp.llama_get_logits_ith(self._pointer, output)
        if not logits:
            raise EngineStoppedError(f"llama.cpp has no logits at batch index {output}.")
        return logits

    def length(self, sequence: int) -> int:
        """Return how many tokens of a sequence the memory holds."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def truncate(self, sequence: int, length: int) -> bool:
        """Forget everything after the first ``length`` tokens; False when this kind of model cannot."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self, sequence: int) -> None:
        """Forget a whole sequence; cells that others share stay."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Let the empty sequence ``target`` begin with the first ``length`` tokens of ``source``, without a copy."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def close(self) -> None:
        """Free the native context and batch."""
        if self._pointer:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self._pointer)
            self._pointer = None

    def _fill(self, chunks: Sequence[Chunk]) -> None:
        batch = self._batch
        tokens, positions, outputs = batch.token, batch.pos, batch.logits
        counts, sequences = batch.n_seq_id, batch.seq_id
        index = 0
        for chunk in chunks:
            for offset, token in enumerate(chunk.tokens):
                tokens[index] = token
                positions[index] = chunk.position + offset
                counts[index] = 1
                sequences[index][0] = chunk.sequence
                outputs[index] = 0
                index += 1
            outputs[index - 1] = int(chunk.wants_output)
        batch.n_tokens = index
