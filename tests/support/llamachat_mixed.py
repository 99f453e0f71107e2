"""Runs in LlamaChat's own environment: many random requests at once, each reply compared with llama.cpp alone.

python llamachat_mixed.py <name of a function below> <number of requests> <seed>
"""

from __future__ import annotations

import codecs
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp
import mixed_texts  # type: ignore[import-not-found]  # beside this script, which is no part of a package when it runs
import numpy as np
from llamachat.chat.conversation import build_conversation
from llamachat.chat.response_format import grammar_for
from llamachat.chat.template import ChatTemplate
from llamachat.engine import native
from llamachat.engine.context import Context
from llamachat.engine.engine import Engine, EngineSettings
from llamachat.engine.errors import RequestRefusedError
from llamachat.engine.model import Model
from llamachat.engine.request import Finish, Request, StopReason
from llamachat.engine.sampler import Sampler
from llamachat.engine.sampling import Sampling
from llamachat.engine.slot import Slot

MODEL = Path(__file__).resolve().parents[2] / "modules" / "LlamaChat" / "models" / "millrace-tiny.gguf"
CONTEXT = 1024
SLOTS = 8
READERS = 20
CACHE_BYTES = 2 * 1024 * 1024
GREEDY = Sampling(temperature=0)
KINDS = ("greedy",) * 30 + ("cancel",) * 6 + ("leave",) * 5 + ("sampled",) * 5 + ("bad",) * 4


@dataclass
class Case:
    """One request, and what came of it. ``pieces``: how many to read before a cancel, or before leaving."""

    kind: str
    request: Request
    pieces: int = 0
    refusal: str = ""
    text: str = ""
    finish: Finish | None = None
    error: str = ""
    tokens: list[int] = field(default_factory=list)
    leads: list[tuple[int, int, float]] = field(default_factory=list)
    """For each token: the likeliest, the second, and how far the first logit is above the second."""


# --- what is asked ------------------------------------------------------------------------------------------


class Requests:
    """Makes random requests: the same ones for the same seed."""

    def __init__(self, model: Model, seed: int) -> None:
        self._model = model
        self._template = ChatTemplate(model)
        self._dice = random.Random(seed)
        # Long texts whose beginnings many requests share.
        self._bases = [self._model.tokenize(mixed_texts.text(self._dice, 120))[:900] for _ in range(6)]

    def next(self) -> Case:
        dice = self._dice
        kind = dice.choice(KINDS)
        if kind == "bad":
            return self._bad()
        sampling = GREEDY
        if kind == "sampled":
            grammar = grammar_for({"type": "json_object"}) if dice.random() < 0.3 else None
            sampling = Sampling(temperature=dice.choice((0.3, 1.0, 2.0)), seed=dice.randrange(1 << 31), grammar=grammar)
        request = Request(
            self._prompt(),
            sampling,
            max_tokens=dice.choice((1, 2, 10, 20, 30, 40, 40, 60, 60, 80, 80, 0)),
            stop=dice.sample(mixed_texts.STOPS, dice.choice((0, 0, 1, 3))),
            log_probabilities=dice.choice((None, None, None, 3)),
        )
        return Case(kind, request, pieces=dice.randrange(6))

    def _prompt(self) -> list[int]:
        dice = self._dice
        shape = dice.random()
        if shape < 0.5:
            system = dice.choice(mixed_texts.SYSTEMS)
            question = mixed_texts.text(dice, dice.choice((1, 1, 2, 5)))
            turns = [[mixed_texts.text(dice, 1), mixed_texts.text(dice, 2)] for _ in range(dice.choice((0, 0, 1)))]
            history = json.dumps(turns) if turns else None
            return self._template.tokens(build_conversation(question, system_prompt=system, history=history))[:900]
        beginning = dice.choice(self._bases)[: round(900 ** dice.random())]
        if shape < 0.7:
            return list(beginning)
        return (list(beginning) + self._model.tokenize(mixed_texts.text(dice, 1)))[:900]

    def _bad(self) -> Case:
        cases = (
            (Request([], GREEDY), "prompt is empty"),
            (Request([5] * CONTEXT, GREEDY), "too long"),
            (Request(self._prompt(), Sampling(temperature=0, grammar="root ::= nothing")), "grammar"),
            (Request(self._prompt(), Sampling(temperature=0, grammar="root ::= (")), "grammar"),
            (Request(self._prompt(), Sampling(temperature=0, logit_bias={1 << 20: 1.0})), "logit_bias"),
        )
        request, refusal = self._dice.choice(cases)
        return Case("bad", request, refusal=refusal)


# --- what the engine makes of it ----------------------------------------------------------------------------


@contextmanager
def observed(cases: dict[int, Case]) -> Iterator[None]:
    """Note the tokens of every ended reply, and the leads of greedy ones. ``cases``: by the identity of the request."""
    leads: dict[Sampler, list[tuple[int, int, float]]] = {}
    sample, finish = Sampler.sample, Slot.finish

    def noting_sample(sampler: Sampler, context: Context, output: int) -> int:
        logits = context.logits(output)
        second, first = np.argpartition(logits, -2)[-2:]
        lead = (int(first), int(second), float(logits[first] - logits[second]))
        leads.setdefault(sampler, []).append(lead)
        return sample(sampler, context, output)

    def noting_finish(slot: Slot, reason: StopReason) -> Finish:
        case = cases.get(id(slot.generation.request))
        if case is not None:
            case.tokens = slot.tokens[len(slot.generation.request.prompt) :]
            if slot.sampler is not None:
                case.leads = leads.pop(slot.sampler, [])
        return finish(slot, reason)

    Sampler.sample, Slot.finish = noting_sample, noting_finish  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Sampler.sample, Slot.finish = sample, finish  # type: ignore[method-assign]


def read(engine: Engine, case: Case) -> None:
    """Send one request and read as much of the reply as its kind wants."""
    try:
        generation = engine.submit(case.request)
        if case.kind == "cancel" and case.pieces == 0:
            generation.cancel()  # most of these still wait
        for count, event in enumerate(generation, 1):
            if isinstance(event, Finish):
                case.finish = event
                break
            case.text += event.text
            if case.kind == "cancel" and count == case.pieces:
                generation.cancel()
            if case.kind == "leave" and count > case.pieces:
                break
    except RequestRefusedError as refusal:
        case.error = str(refusal)


def at_rest(engine: Engine) -> dict[str, Any]:
    """Return what is still in use when nothing is asked any more, and where pool and context disagree."""
    sequences = engine._pool._sequences
    return {
        "running": engine.figures().running,
        "waiting": engine.figures().waiting,
        "in use": sum(sequence.in_use for sequence in sequences),
        "restoring": len(engine._restorer._waiting),
        "wrong lengths": sum(engine._context.length(each.id) != len(each.tokens) for each in sequences),
    }


# --- what llama.cpp says --------------------------------------------------------------------------------------


class Plain:
    """``llama_cpp.Llama``, which knows nothing of this engine, with one reply at a time."""

    def __init__(self, batch: int = 512) -> None:
        self._llama = llama_cpp.Llama(
            str(MODEL), n_ctx=CONTEXT, n_batch=batch, n_ubatch=batch, n_threads=1, flash_attn=True, verbose=False
        )
        native.take_errors()

    def walk(self, prompt: Sequence[int], tokens: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield what comes next and the logits: after the prompt, then after each of the tokens."""
        self._llama.reset()
        self._llama.eval(prompt)
        yield self._next()
        for token in tokens:
            self._llama.eval([token])
            yield self._next()

    def _next(self) -> tuple[int, Any]:
        pointer = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),)).copy()
        return self._llama.sample(temp=0.0, repeat_penalty=1.0), logits

    def close(self) -> None:
        self._llama.close()


@dataclass
class Verdict:
    """How a reply compares. ``apart``: llama.cpp's logits of the two tokens, at each place where they differ.

    ``noise``: the largest change, against llama.cpp alone, of the engine's lead of the first token over the second.
    """

    wrong: str = ""
    apart: list[dict[str, Any]] = field(default_factory=list)
    noise: float = 0.0
    places: int = 0


def judge(case: Case, plain: Plain, model: Model) -> Verdict:
    """Compare a greedy reply with llama.cpp's, token for token, and after a difference with what follows its own."""
    verdict = Verdict(wrong=_wrong_text(case, model))
    ended = case.finish is not None and case.finish.reason == "completed" and not _stop_in(case, model)
    for place, (likeliest, logits) in enumerate(plain.walk(case.request.prompt, case.tokens)):
        at_end = place == len(case.tokens)
        if place < len(case.leads):
            first, second, lead = case.leads[place]
            verdict.noise = max(verdict.noise, abs(lead - float(logits[first] - logits[second])))
        if at_end and not ended:
            break
        verdict.places += 1
        # The end itself is no token of the reply; which one it was is among the leads.
        token = case.leads[place][0] if at_end else case.tokens[place]
        if token != likeliest:
            verdict.apart.append(
                {
                    "place": place,
                    "llama": [likeliest, float(logits[likeliest])],
                    "engine": [token, float(logits[token])],
                    "difference": float(logits[likeliest] - logits[token]),
                    "engine's lead": case.leads[place][2],
                }
            )
        if model.is_end(token) != at_end:
            verdict.wrong = verdict.wrong or f"ends after {len(case.tokens)} tokens"
    return verdict


def _decoded(tokens: Sequence[int], model: Model) -> str:
    """Return the text of tokens, without a character that is not whole at its end."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(b"".join(map(model.piece, tokens)))


def _stop_in(case: Case, model: Model) -> bool:
    text = _decoded(case.tokens, model)
    return any(stop in text for stop in case.request.stop)


def _wrong_text(case: Case, model: Model) -> str:
    """Say what is wrong with text and end of a reply, given its tokens; nothing when all is right."""
    whole = _decoded(case.tokens, model)
    right = whole[: min([whole.find(stop) for stop in case.request.stop if stop in whole], default=len(whole))]
    if any(stop in _decoded(case.tokens[:-1], model) for stop in case.request.stop):
        return "goes on after a stop string"
    if case.kind == "leave" and case.finish is None:
        return "" if right.startswith(case.text) else f"read {case.text!r} of {right!r}"
    if case.finish is None:
        return f"has no end: {case.error}"
    if case.text != right:
        return f"is {case.text!r} instead of {right!r}"
    allowed = case.request.max_tokens or CONTEXT - len(case.request.prompt)
    if case.finish.completion_tokens != len(case.tokens):
        return f"counts {case.finish.completion_tokens} of {len(case.tokens)} tokens"
    if case.finish.reason == "length" and len(case.tokens) != allowed:
        return f"was cut after {len(case.tokens)} tokens instead of {allowed}"
    if case.finish.reason == "cancelled" and case.kind != "cancel":
        return "was cancelled by nobody"
    return "" if len(case.tokens) <= allowed else f"has {len(case.tokens)} tokens of {allowed}"


# --- the runs -------------------------------------------------------------------------------------------------


def replies(count: int, seed: int) -> dict[str, Any]:
    """So many requests on one engine, then llama.cpp alone for each greedy reply of them."""
    native.start()
    model = Model(MODEL)
    requests = Requests(model, seed)
    cases = [requests.next() for _ in range(count)]
    last = Case("greedy", Request(cases[0].request.prompt or [5], GREEDY, max_tokens=20))
    with tempfile.TemporaryDirectory() as folder, observed({id(case.request): case for case in [*cases, last]}):
        settings = EngineSettings(SLOTS, CONTEXT, threads=1, prompt_cache=Path(folder), prompt_cache_bytes=CACHE_BYTES)
        engine = Engine(model, settings)
        try:
            with ThreadPoolExecutor(READERS) as readers:
                list(readers.map(lambda case: read(engine, case), cases))
            read(engine, last)  # also those that were left have ended then: they came first
            rest, figures = at_rest(engine), engine.figures()
        finally:
            engine.close()
    plain = Plain()
    compared = [case for case in [*cases, last] if case.kind in ("greedy", "cancel", "leave")]
    verdicts = [(case, judge(case, plain, model)) for case in compared]
    plain.close()
    whole = [(case, verdict) for case, verdict in verdicts if case.finish and case.finish.reason != "cancelled"]
    apart = [verdict.apart for _, verdict in verdicts if verdict.apart]
    return {
        "asked": len(cases),
        "kinds": Counter(case.kind for case in cases),
        "ends": Counter(case.finish.reason if case.finish else "no end" for case, _ in verdicts),
        "prompt lengths": [f(len(case.request.prompt) for case in compared) for f in (min, max)],
        "wrong": [[case.kind, verdict.wrong] for case, verdict in verdicts if verdict.wrong],
        "whole": len(whole),
        "equal": sum(not verdict.apart for _, verdict in whole),
        "places": sum(verdict.places for _, verdict in verdicts),
        "apart": [first for first, *_ in apart],
        "apart at all": sum(map(len, apart)),
        "largest difference": max((each["difference"] for found in apart for each in found), default=0.0),
        "noise": max(verdict.noise for _, verdict in verdicts),
        "bad": [[case.error, case.refusal] for case in cases if case.kind == "bad"],
        "sampled": [case.error for case in cases if case.kind == "sampled" and case.finish is None],
        "rest": rest,
        "evictions": figures.evictions,
        "cached": figures.cached_tokens,
        "restored": figures.restored_tokens,
    }


def rounding(count: int, seed: int) -> dict[str, Any]:
    """How far llama.cpp's leads move with nothing but the size of its batches, without this engine."""
    native.start()
    model = Model(MODEL)
    requests = Requests(model, seed)
    prompts = [prompt for prompt in (requests._prompt() for _ in range(count * 2)) if len(prompt) > 16][:count]
    wide, moved = Plain(), []
    for batch in (8, 32, 128):
        narrow = Plain(batch)
        for prompt in prompts:
            tokens = [token for token, _ in zip(_greedy(wide, prompt, model), range(20), strict=False)]
            pairs = zip(wide.walk(prompt, tokens), narrow.walk(prompt, tokens), strict=True)
            for (_, one), (_, other) in pairs:
                second, first = np.argpartition(one, -2)[-2:]
                moved.append(abs(float((one[first] - one[second]) - (other[first] - other[second]))))
        narrow.close()
    wide.close()
    return {"places": len(moved), "largest": max(moved), "p99": sorted(moved)[int(0.99 * len(moved))]}


def _greedy(plain: Plain, prompt: Sequence[int], model: Model) -> Iterator[int]:
    """What llama.cpp goes on with."""
    for token in plain._llama.generate(prompt, temp=0.0, repeat_penalty=1.0):
        if model.is_end(token):
            return
        yield token


if __name__ == "__main__":
    native.start()
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
