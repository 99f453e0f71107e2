"""The native context: the memory of all sequences, and the call that decodes a batch."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from enum import Enum
from typing import Any

import llama_cpp
import numpy as np

from . import native, sequence_state
from .errors import EngineStoppedError, ModelUnavailableError
from .model import Model
from .scheduler import Chunk
from .sequence_state import State

_log = logging.getLogger(__name__)

Logits = np.ndarray[Any, Any]
"""A float32 for each token of the vocabulary."""

CELL_MULTIPLE = 256
"""llama.cpp rounds the number of cells up to a multiple of this."""

PIECE_TOKENS = 256
"""Tokens in a full piece of a stored sequence."""

_ONE_POSITION = (-1, 0, 2)  # none, norm and neox, which llama_cpp does not all name
"""Rope types whose tokens have one position each: the copied states of others are laid out in another way."""


class Outcome(Enum):
    """What ``llama_decode`` says, apart from fatal errors."""

    DONE = "done"
    NO_SPACE = "no space"  # nothing was changed
    PARTLY_DONE = "partly done"  # an unknown part was processed: ask ``length`` for each sequence
    INVALID = "invalid"  # nothing was changed


class Context:
    """Owns the native context. Only the engine's thread may call it.

    Every sequence has cells of its own (``kv_unified`` is off): a chat then looks only at its own tokens, not at
    everybody's. Chats in neighbouring sequences are computed together.
    """

    def __init__(self, model: Model, *, length: int, sequences: int, threads: int, batch: int) -> None:
        """``length``: tokens that each sequence can hold. ``batch``: the most tokens in one step."""
        native.take_errors()
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-length // CELL_MULTIPLE) * CELL_MULTIPLE * sequences
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # a row of logits is large: none for tokens that are not sampled
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = False
        parameters.no_perf = True
        self._pointer = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise ModelUnavailableError(
                f"There is not enough memory for {sequences} chats of {length} tokens beside the model "
                f"({native.take_errors() or 'llama.cpp gave no reason'}). Lower CPAI_MODULE_LLAMA_CONTEXT or "
                "Parallelism, or choose a smaller model."
            )
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._sequences = sequences
        self._window = int(llama_cpp.llama_model_n_swa(model.pointer))
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)
        self._vocabulary_size = model.vocabulary_size
        self._outputs: dict[int, int] = {}  # batch index → row of the logits
        self._logits: Logits | None = None
        can_cut = model.can_rewind and not self._window and model.rope_type in _ONE_POSITION
        try:
            can_cut = can_cut and self._knows_states()
        except BaseException:
            self.close()
            raise
        self.piece_tokens = PIECE_TOKENS if can_cut else 0
        self.state_format = (
            *(llama_cpp.__version__, llama_cpp.LLAMA_STATE_SEQ_VERSION, self.piece_tokens),
            *(parameters.type_k, parameters.type_v, parameters.n_ctx // sequences > model.original_context),
            *(() if can_cut else (sequences,)),
        )
        """What else than the model must be the same for a copied state to mean the same."""

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The native context, for the native samplers."""
        return self._pointer  # type: ignore[no-any-return]

    def decode(self, chunks: Sequence[Chunk]) -> Outcome:
        """Run the model over the chunks. The output of a chunk that wants one has the index of its last token.

        Raises ``EngineStoppedError`` when llama.cpp reports a fatal error.
        """
        self._fill(chunks)
        self._logits = None
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

    def wait(self) -> None:
        """Return when what was decoded is computed: with a GPU, ``decode`` may return before."""
        llama_cpp.llama_synchronize(self._pointer)

    def logits(self, output: int) -> Logits:
        """Return the logits of the whole vocabulary at a batch index; valid until the next ``decode``."""
        if self._logits is None:
            # One call for all outputs: while others run Python, each call may have to wait for its turn.
            pointer = llama_cpp.llama_get_logits(self._pointer)
            if not pointer:
                raise EngineStoppedError("llama.cpp has no logits.")
            self._logits = np.ctypeslib.as_array(pointer, shape=(len(self._outputs), self._vocabulary_size))
        return self._logits[self._outputs[output]]  # type: ignore[no-any-return]

    def length(self, sequence: int) -> int:
        """Return how many tokens of a sequence the memory holds."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def truncate(self, sequence: int, length: int) -> bool:
        """Forget everything after the first ``length`` tokens; False when this kind of model cannot."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self, sequence: int) -> None:
        """Forget a whole sequence; cells that others share stay."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def share(self, source: int, target: int, length: int) -> bool:
        """Let the empty sequence ``target`` begin with the first ``length`` tokens of ``source``; False if it cannot.

        They are copied. ``source`` must hold them: see ``holds``.
        """
        state = self.state(source)
        if state is not None and self.piece_tokens:
            piece = sequence_state.cut(state, 0, length)
            state = None if piece is None else self.join([piece])
        return state is not None and self.restore(target, state, length)

    def holds(self, sequence: int, length: int) -> bool:
        """Whether the first ``length`` tokens of a sequence are all there to go on from, so that it may be cut there.

        A model with a sliding window forgets what it will not look at again when it goes on at the end.
        """
        if length == self.length(sequence):
            return True
        first = int(llama_cpp.llama_memory_seq_pos_min(self._memory, sequence))
        return first <= max(0, length - self._window)

    def state(self, sequence: int) -> State | None:
        """Copy what the memory holds of a sequence; None when it holds nothing."""
        state = np.empty(int(llama_cpp.llama_state_seq_get_size(self._pointer, sequence)), np.uint8)
        size = int(llama_cpp.llama_state_seq_get_data(self._pointer, _bytes_of(state), len(state), sequence))
        return state if size == len(state) > 0 else None

    def join(self, pieces: Sequence[State]) -> State | None:
        """Return the state of pieces that follow each other, None when they do not fit. Any thread may call it.

        ``sequence_state.cut`` makes the pieces; where ``piece_tokens`` is 0 there is one, as ``state`` returned it.
        """
        return sequence_state.joined(pieces, self._sequences) if self.piece_tokens else pieces[0]

    def restore(self, sequence: int, state: State, length: int) -> bool:
        """Let a sequence be the first ``length`` tokens of a state that ``state`` or ``join`` returned.

        False when llama.cpp does not take it; the sequence is then empty.
        """
        size = int(llama_cpp.llama_state_seq_set_data(self._pointer, _bytes_of(state), len(state), sequence))
        native.take_errors()
        if size == len(state) and self._keeps(sequence, length):
            return True
        self.clear(sequence)
        return False

    def _keeps(self, sequence: int, length: int) -> bool:
        held = self.length(sequence)
        return held == length or (held > length and self.holds(sequence, length) and self.truncate(sequence, length))

    def _knows_states(self) -> bool:
        """Try whether copied states can be cut and joined: llama.cpp does not promise how it lays them out."""
        tried = [self.decode([Chunk(0, 0, position, [position], wants_output=False)]) for position in range(2)]
        whole = self.state(0)
        self.clear(0)
        if any(outcome is not Outcome.DONE for outcome in tried):
            return True  # it says nothing of states that two tokens alone are not enough for this model
        known = whole is not None and self._same_again(whole)
        self.clear(0)
        if not known:
            _log.warning(
                "This llama.cpp lays out copied conversations in an unknown way. They are shared and stored as a whole "
                "only, which takes longer: llama-cpp-python %s is newer than this module knows.",
                llama_cpp.__version__,
            )
        return known

    def _same_again(self, whole: State) -> bool:
        """Whether a state of two tokens, cut and joined, is taken back and is then the same."""
        pieces = [sequence_state.cut(whole, position, position + 1) for position in range(2)]
        joined = sequence_state.joined([piece for piece in pieces if piece is not None], self._sequences)
        if joined is None or not self.restore(0, joined, 2):
            return False
        again = self.state(0)
        ours, theirs = (None if state is None else sequence_state.cut(state, 0, 2) for state in (again, whole))
        return ours is not None and theirs is not None and np.array_equal(ours, theirs)

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
        self._outputs.clear()
        index = 0
        for chunk in chunks:
            for offset, token in enumerate(chunk.tokens):
                tokens[index] = token
                positions[index] = chunk.position + offset
                counts[index] = 1
                sequences[index][0] = chunk.sequence
                outputs[index] = 0
                index += 1
            if chunk.wants_output:
                outputs[index - 1] = 1
                self._outputs[index - 1] = len(self._outputs)
        batch.n_tokens = index


def _bytes_of(state: State) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
