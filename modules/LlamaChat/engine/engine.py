"""The engine: one thread that owns the context and serves all chats together, step by step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .context import Context, Outcome
from .errors import EngineStoppedError, LlamaChatError, RequestRefusedError
from .figures import Figures, Meter
from .model import Model
from .request import Finish, Generation, Request
from .roster import Roster
from .sampler import Sampler
from .scheduler import Chunk, PromptBudget, plan
from .sequences import Sequence as HeldSequence
from .sequences import SequencePool
from .slot import Slot

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSettings:
    """``slots``: chats that run at once. ``context``: tokens for one chat. ``cells``: tokens for all together.

    ``idle_sequences``: how many ended chats are remembered beside the running ones. ``batch``: tokens in one step.
    """

    slots: int
    context: int
    cells: int
    threads: int
    idle_sequences: int = 8
    batch: int = 512


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
        self._context = Context(
            model,
            cells=settings.cells,
            sequences=settings.slots + settings.idle_sequences,
            threads=settings.threads,
            batch=settings.batch,
        )
        self._pool = SequencePool(self._context, settings.slots + settings.idle_sequences, can_rewind=model.can_rewind)
        self._budget = PromptBudget(most=settings.batch)
        self._meter = Meter()
        self._on_crash = on_crash
        self._roster = Roster(settings.slots, settings.cells)
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
        """Raise ``RequestRefusedError`` when the prompt is empty or does not fit into the context."""
        count, limit = len(request.prompt), self.settings.context
        if count == 0:
            raise RequestRefusedError("The prompt is empty.")
        if count >= limit:
            raise RequestRefusedError(
                f"The prompt is too long: it has {count} tokens, and the context holds {limit}, "
                "the reply included. Shorten the prompt, or start a new conversation."
            )

    def figures(self) -> Figures:
        """Return what the engine does right now."""
        return self._meter.figures(
            running=len(self._roster.running),
            waiting=self._roster.waiting_count,
            cells_used=min(self._pool.tokens_held, self.settings.cells),
            cells=self.settings.cells,
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
        except Exception as problem:
            _log.exception("The chat engine has crashed")
            crash = f"The chat engine has crashed: {problem}"
            self._roster.stop(crash)
        for slot in self._roster.everyone():
            self._end(slot, EngineStoppedError(crash or self._roster.stop_reason or ""))
        self._context.close()
        if crash is not None:
            self._on_crash(crash)

    def _step(self) -> None:
        """Drop who was cancelled, admit who fits, decode one batch, sample for each chat that is ready."""
        for slot in filter(_is_cancelled, self._roster.everyone()):
            self._end(slot, slot.finish("cancelled"))
        while (admitted := self._roster.admit_next()) is not None:
            self._start(admitted)
        running = list(self._roster.running)
        generates = any(slot.pending == 1 for slot in running)
        chunks = plan(running, self.settings.batch, self._budget.allowed(others_generate=generates))
        if not chunks:
            return
        started = time.monotonic()
        self._decode(chunks, running)
        prompt_tokens = sum(len(chunk.tokens) for chunk in chunks if len(chunk.tokens) > 1)
        self._budget.learn(prompt_tokens, time.monotonic() - started)

    def _start(self, slot: Slot) -> None:
        try:
            slot.place(self._pool.acquire(slot.tokens))
            if slot.sampler is None:
                slot.sampler = Sampler(slot.generation.request.sampling, self._model)
                self._meter.prompt(len(slot.tokens), slot.cached_tokens)
        except LlamaChatError as problem:
            self._end(slot, problem)

    def _decode(self, chunks: Sequence[Chunk], slots: Sequence[Slot]) -> None:
        outcome = self._context.decode(chunks)
        if outcome is Outcome.DONE:
            self._use_outputs(chunks, slots)
        elif outcome is Outcome.NO_SPACE:
            self._make_space()
        elif outcome is Outcome.PARTLY_DONE:
            self._read_back(slots)
        elif len(chunks) == 1:
            self._end(slots[chunks[0].slot], RequestRefusedError("llama.cpp refused the prompt as invalid."))
        else:
            # One of them is at fault: alone, the others succeed and the culprit shows itself.
            for chunk in chunks:
                if slots[chunk.slot].sequence is not None:
                    self._decode([chunk], slots)

    def _use_outputs(self, chunks: Sequence[Chunk], slots: Sequence[Slot]) -> None:
        output = -1
        for chunk in chunks:
            output += len(chunk.tokens)
            slot = slots[chunk.slot]
            slot.note_decoded(len(chunk.tokens))
            if chunk.wants_output:
                self._sample(slot, output)

    def _sample(self, slot: Slot, output: int) -> None:
        if slot.sampler is None:
            raise RuntimeError("a running chat has no sampler")
        token = slot.sampler.sample(self._context, output)
        self._meter.token()
        finish = slot.take(token, self._model.piece(token), is_end=self._model.is_end(token))
        if finish is not None:
            self._end(slot, finish)

    def _make_space(self) -> None:
        """The context is full: forget the oldest idle chat, else put the newest running one back in the queue."""
        if self._pool.evict_oldest():
            self._meter.eviction()
            return
        slot = self._roster.running[-1]
        if len(self._roster.running) == 1:
            self._end(slot, EngineStoppedError("The context has no space left for this chat."))
            return
        sequence = self._leave_context(slot)
        if sequence is not None:
            self._pool.forget(sequence)
        self._roster.put_back(slot)

    def _leave_context(self, slot: Slot) -> HeldSequence | None:
        """Take the chat's sequence away, if it has one, and return it."""
        sequence, slot.sequence = slot.sequence, None
        if sequence is not None:
            self._pool.release(sequence)
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
