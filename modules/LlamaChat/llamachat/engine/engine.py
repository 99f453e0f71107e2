"""The engine: one thread that owns the context and serves all chats together, step by step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .context import Context, Outcome
from .errors import EngineStoppedError, LlamaChatError, PromptTooLongError, RequestRefusedError
from .figures import Figures, Meter, Now
from .fingerprint import fingerprint
from .grammar_check import check_grammar
from .logits import log_probability
from .model import Model
from .prompt_cache import PromptCache
from .prompt_sizes import UNMEASURED, Costs, PromptSizes
from .request import Finish, Generation, Request
from .restoring import Restorer
from .roster import Roster
from .sampler import Sampler
from .saving import Saver
from .scheduler import Chunk, plan
from .sequences import Sequence as HeldSequence
from .sequences import SequencePool
from .slot import Slot
from .waiting import apart

_log = logging.getLogger(__name__)

_LAST_SAVES_S = 1.2
_LAST_WRITE_S = 0.6


@dataclass(frozen=True)
class EngineSettings:
    """``slots``: chats that run at once. ``context``: tokens for one chat. ``batch``: tokens in one step.

    ``costs``: what ``prompt_costs.measure`` has found out; prompts are cut accordingly.
    ``prompt_cache``: the folder that remembers chats over restarts, None for none; ``prompt_cache_bytes``: its limit.
    """

    slots: int
    context: int
    threads: int
    batch: int = 512
    costs: Costs = UNMEASURED
    prompt_cache: Path | None = None
    prompt_cache_bytes: int = 0


class Engine:
    """Generates replies. ``submit`` may be called from any thread; everything else happens on its own."""

    def __init__(
        self, model: Model, settings: EngineSettings, on_crash: Callable[[str], None] = lambda reason: None
    ) -> None:
        """Start the thread. ``on_crash`` is called on it, with the reason, after every chat was told.

        Raises ``ModelUnavailableError`` when there is not enough memory for the context.
        """
        self.settings = settings
        self._model = model
        self._context = apart(
            lambda: Context(
                model,
                length=settings.context,
                sequences=settings.slots,
                threads=settings.threads,
                batch=settings.batch,
            )
        )
        self._pool = SequencePool(
            self._context, settings.slots, can_rewind=model.can_rewind, on_eviction=self._make_place
        )
        self._sizes = PromptSizes(settings.costs, settings.batch)
        self._turn = 0
        self._meter = Meter()
        self._on_crash = on_crash
        self._roster = Roster(settings.slots)
        self._cache = PromptCache(
            settings.prompt_cache,
            lambda: fingerprint(model.path, *self._context.state_format),
            full=self._context.piece_tokens,
            join=self._context.join,
            most_bytes=settings.prompt_cache_bytes,
            wake=self._roster.wake,
        )
        self._restorer = Restorer(self._cache, self._context)
        self._saver = Saver(self._cache, self._context)
        self._thread = threading.Thread(target=self._run, name="llama-engine", daemon=True)
        self._thread.start()

    # Called from any thread.

    def submit(self, request: Request) -> Generation:
        """Queue a request and return its growing answer.

        Raises what ``check`` raises, and ``EngineStoppedError`` after the end.
        """
        self.check(request)
        room = self.settings.context - len(request.prompt)
        generation = Generation(request)
        self._roster.add(Slot(generation, min(request.max_tokens or room, room)))
        return generation

    def check(self, request: Request) -> None:
        """Raise ``RequestRefusedError`` when the prompt is empty, ``PromptTooLongError`` when it does not fit.

        Also when the grammar would do harm, or a bias is for a token that the model does not have.
        """
        count, limit = len(request.prompt), self.settings.context
        if count == 0:
            raise RequestRefusedError("The prompt is empty.")
        if count >= limit:
            raise PromptTooLongError(
                f"The prompt is too long: it has {count} tokens, and the context holds {limit}, "
                "the reply included. Shorten the prompt, or start a new conversation."
            )
        if request.sampling.grammar is not None:
            check_grammar(request.sampling.grammar)
        for token in request.sampling.logit_bias:
            if not 0 <= token < self._model.vocabulary_size:
                last = self._model.vocabulary_size - 1
                raise RequestRefusedError(f"logit_bias names the token {token}, and this model has 0 to {last}.")

    def figures(self) -> Figures:
        """Return what the engine does right now."""
        return self._meter.figures(
            Now(
                running=len(self._roster.running),
                waiting=self._roster.waiting_count,
                cells_used=self._pool.tokens_held,
                cells=self.settings.slots * self.settings.context,
                remembered=self._pool.idle_count,
                stores=self._cache.is_on,
                stored=len(self._cache),
                stored_bytes=self._cache.bytes_used,
            )
        )

    def close(self, reason: str = "The chat engine was stopped.") -> None:
        """End all chats with this reason, stop the thread and free the context."""
        self._roster.stop(reason)
        self._thread.join()

    # Everything below runs on the engine's thread.

    def _run(self) -> None:
        crash: str | None = None
        try:
            while self._roster.wait_for_work(self._meter.idle):
                self._step()
                self._saver.take_turn(busy=bool(self._roster.running or self._roster.waiting_count))
        except Exception as problem:
            _log.exception("The chat engine has crashed")
            crash = f"The chat engine has crashed: {problem}"
            self._roster.stop(crash)
        for slot in self._roster.everyone():
            self._end(slot, EngineStoppedError(crash or self._roster.stop_reason or ""))
        if crash is None:
            self._saver.finish(_LAST_SAVES_S)
        self._cache.close(_LAST_WRITE_S)
        self._context.close()
        if crash is not None:
            self._on_crash(crash)

    def _step(self) -> None:
        """Drop who was cancelled, admit who fits, decode what is next, sample for each chat that is ready."""
        for slot in filter(_is_cancelled, self._roster.everyone()):
            self._end(slot, slot.finish("cancelled"))
        while (admitted := self._roster.admit_next()) is not None:
            self._start(admitted)
        for slot, sequence, restored in self._restorer.step():
            self._place(slot, sequence, restored)
            self._roster.wake()  # the next step may bring another
        running = [slot for slot in self._roster.running if slot.sequence is not None]
        groups = plan(running, self.settings.batch, self._sizes, self._turn)
        for chunks in groups:
            if not self._decode_timed(chunks, running):
                break  # where the others are is not known any more: the next step is planned anew
        self._turn += any(len(chunks[0].tokens) > 1 for chunks in groups)

    def _decode_timed(self, chunks: Sequence[Chunk], slots: Sequence[Slot]) -> bool:
        is_prompt = len(chunks[0].tokens) > 1
        started = time.monotonic()
        whole = self._decode(chunks, slots)
        if is_prompt:
            self._meter.prompt_work(sum(len(chunk.tokens) for chunk in chunks), time.monotonic() - started)
        return whole

    def _start(self, slot: Slot) -> None:
        sequence = self._pool.acquire(slot.tokens)
        if not self._restorer.begin(slot, sequence):
            self._place(slot, sequence, restored=0)

    def _place(self, slot: Slot, sequence: HeldSequence, restored: int) -> None:
        """Let the chat go on in its sequence, which needs no work on what it holds; some of it came from the disk."""
        slot.place(sequence)
        try:
            if slot.sampler is None:
                slot.sampler = Sampler(slot.generation.request.sampling, self._model)
                self._meter.prompt(len(slot.tokens), slot.cached_tokens, restored)
        except LlamaChatError as problem:
            self._end(slot, problem)

    def _decode(self, chunks: Sequence[Chunk], slots: Sequence[Slot]) -> bool:
        """Decode chunks together; False when llama.cpp has stopped somewhere in them."""
        outcome = self._context.decode(chunks)
        if outcome is Outcome.DONE:
            self._use_outputs(chunks, slots)
        elif outcome is Outcome.PARTLY_DONE:
            self._read_back(slots)
        elif len(chunks) == 1:
            no_space = outcome is Outcome.NO_SPACE
            why = "has no space left for this chat" if no_space else "refused the prompt as invalid"
            self._end(slots[chunks[0].slot], RequestRefusedError(f"llama.cpp {why}."))
        else:
            # One of them is at fault: alone, the others succeed and the culprit shows itself.
            for chunk in chunks:
                if slots[chunk.slot].sequence is not None and not self._decode([chunk], slots):
                    return False
        return outcome is not Outcome.PARTLY_DONE

    def _use_outputs(self, chunks: Sequence[Chunk], slots: Sequence[Slot]) -> None:
        output = -1
        for chunk in chunks:
            output += len(chunk.tokens)
            slot = slots[chunk.slot]
            slot.note_decoded(len(chunk.tokens))
            if slot.sequence is not None:
                self._saver.grown(slot.sequence, len(chunk.tokens))
            if chunk.wants_output:
                self._sample(slot, output)

    def _sample(self, slot: Slot, output: int) -> None:
        if slot.sampler is None:
            raise RuntimeError("a running chat has no sampler")
        try:
            token = slot.sampler.sample(self._context, output)
        except RequestRefusedError as problem:
            self._end(slot, problem)
            return
        self._meter.token()
        wanted, told = slot.generation.request.log_probabilities, None
        if wanted is not None:
            told = log_probability(self._model, self._context.logits(output), token, wanted, slot.text_length)
        is_end = self._model.is_end(token)
        finish = slot.take(token, self._model.piece(token), is_end=is_end, log_probability=told)
        if finish is not None:
            self._end(slot, finish)

    def _make_place(self, ended: HeldSequence) -> None:
        self._meter.eviction()
        self._saver.leaving(ended)

    def _leave_context(self, slot: Slot) -> HeldSequence | None:
        """Take the chat's sequence away, if it has one, and return it."""
        sequence, slot.sequence = slot.sequence or self._restorer.drop(slot), None
        if sequence is not None:
            self._pool.release(sequence)
            self._saver.ended(sequence)
        return sequence

    def _read_back(self, slots: Sequence[Slot]) -> None:
        """Some of the batch was processed: ask the context how far each chat is."""
        for slot in slots:
            if slot.sequence is not None:
                held = min(self._context.length(slot.sequence.id), len(slot.tokens))
                # The last token is decoded again where it was: its logits are lost.
                self._pool.correct(slot.sequence, slot.tokens[:held], keep=min(held, len(slot.tokens) - 1))

    def _end(self, slot: Slot, how: Finish | LlamaChatError) -> None:
        self._leave_context(slot)
        self._roster.remove(slot)
        if slot.sampler is not None:
            slot.sampler.close()
        slot.generation.put(how)


def _is_cancelled(slot: Slot) -> bool:
    try:
        return slot.generation.cancelled
    except Exception:
        # Nobody can be waiting for a chat whose caller's own question fails.
        _log.exception("Asking whether a chat was cancelled failed")
        return True
