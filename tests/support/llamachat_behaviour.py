"""Runs in LlamaChat's own environment: does one thing with the real engine and prints what happened as JSON.

python llamachat_behaviour.py <name of a function below>
"""

from __future__ import annotations

import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llamachat.chat.conversation import build_conversation
from llamachat.chat.response_format import grammar_for
from llamachat.chat.template import ChatTemplate
from llamachat.engine import native
from llamachat.engine.context import Context
from llamachat.engine.engine import Engine, EngineSettings
from llamachat.engine.errors import EngineStoppedError, LlamaChatError
from llamachat.engine.model import Model
from llamachat.engine.request import Delta, Finish, Generation, Request
from llamachat.engine.sampler import Sampler
from llamachat.engine.sampling import Sampling
from llamachat.engine.trial import try_out

MODEL = Path(__file__).resolve().parents[2] / "modules" / "LlamaChat" / "models" / "millrace-tiny.gguf"
GREEDY = Sampling(temperature=0)
QUESTIONS = [
    "What is a module?",
    "How do I poll a command?",
    "How do I cancel a chat?",
    "How do I write a module?",
    "How do I install a real model?",
    "What is a queue?",
    "What is the reply buffer?",
    "Which port does the server use?",
    "Who won the world cup in 1998?",
    "What does the supervisor do?",
]


CLEAR = 0.25
"""Logits differ by up to 0.14 with what runs beside a chat; a lead above this decides every time the same."""


@dataclass
class Answer:
    """A reply that has ended, and the pieces it came in. ``lead``: the likeliest token's smallest lead in it."""

    text: str
    deltas: list[str]
    finish: Finish
    lead: float = 0.0

    @property
    def clear(self) -> bool:
        return self.lead > CLEAR


class Bench:
    """One model, and engines made for it."""

    def __init__(self) -> None:
        native.start()
        self.model = Model(MODEL)
        self.template = ChatTemplate(self.model)

    def prompt(self, question: str, **more: Any) -> list[int]:
        return self.template.tokens(build_conversation(question, **more))

    @contextmanager
    def engine(self, slots: int = 4, context: int = 1024, **more: Any) -> Iterator[Engine]:
        settings = EngineSettings(slots, context, threads=1)
        engine = Engine(self.model, settings, **more)
        try:
            yield engine
        finally:
            engine.close()

    def alone(self, prompts: Sequence[Sequence[int]], **more: Any) -> list[Answer]:
        """Each reply as it is when nothing else runs and nothing is remembered."""
        answers = []
        with leads() as seen:
            for prompt in prompts:
                with self.engine(slots=1) as engine:
                    seen.clear()
                    answer = collect(engine.submit(Request(prompt, GREEDY, **more)))
                answers.append(replace(answer, lead=min(seen)))
        return answers


def clear_cases(bench: Bench, count: int) -> tuple[list[list[int]], list[str]]:
    """Return the prompts of so many questions with a clear reply, and these replies."""
    prompts = [bench.prompt(question) for question in QUESTIONS]
    answers = bench.alone(prompts)
    found = [(prompt, answer.text) for prompt, answer in zip(prompts, answers, strict=True) if answer.clear]
    assert len(found) >= count, f"only {len(found)} of {len(prompts)} questions have a clear reply"
    return [prompt for prompt, _ in found[:count]], [text for _, text in found[:count]]


@contextmanager
def leads() -> Iterator[list[float]]:
    """Note, for every greedily sampled token, how far its logit is above the next."""
    seen: list[float] = []
    sample = Sampler.sample

    def noting(sampler: Sampler, context: Context, output: int) -> int:
        second, first = np.partition(context.logits(output), -2)[-2:]
        seen.append(float(first - second))
        return sample(sampler, context, output)

    Sampler.sample = noting  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        Sampler.sample = sample  # type: ignore[method-assign]


def collect(generation: Generation, cancel_after: int | None = None) -> Answer:
    """Read a reply to its end, and cancel it after so many pieces."""
    deltas: list[str] = []
    for event in generation:
        if isinstance(event, Finish):
            return Answer("".join(deltas), deltas, event)
        deltas.append(event.text)
        if len(deltas) == cancel_after:
            generation.cancel()
    raise AssertionError("a reply ended without a finish")


def first_token(generation: Generation) -> Iterator[Delta | Finish]:
    """Wait until the reply has begun; return what is still to come."""
    events = iter(generation)
    next(events)
    return events


class Scripted:
    """Stands in front of ``llama_decode``: notes the size of each batch and may change what the engine sees."""

    def __init__(self, change: Callable[[int, Callable[[], int]], int] | None = None) -> None:
        self.batches: list[int] = []
        self._change = change
        self._real = llama_cpp.llama_decode
        llama_cpp.llama_decode = self

    def __call__(self, context: Any, batch: Any) -> int:
        self.batches.append(batch.n_tokens)
        if self._change is None:
            return int(self._real(context, batch))
        return self._change(len(self.batches), lambda: int(self._real(context, batch)))

    def remove(self) -> None:
        llama_cpp.llama_decode = self._real


# What may be asked for. Each function returns what the test then judges.


def many_chats_at_once(bench: Bench) -> dict[str, Any]:
    prompts = [bench.prompt(question) for question in QUESTIONS]
    answers = bench.alone(prompts)
    with bench.engine(slots=4) as engine:
        generations = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
        together = [collect(generation).text for generation in generations]
        again = [collect(engine.submit(Request(prompt, GREEDY))).text for prompt in prompts]
    clear = [number for number, answer in enumerate(answers) if answer.clear]
    return {
        "asked": len(prompts),
        "alone": [answers[number].text for number in clear],
        "together": [together[number] for number in clear],
        "again": [again[number] for number in clear],
    }


def same_as_llama_cpp(bench: Bench) -> dict[str, Any]:
    """Greedy tokens of this engine, many at once, and of ``llama_cpp.Llama`` one after the other."""
    prompts = [bench.prompt(question) for question in QUESTIONS]
    plain = llama_cpp.Llama(str(MODEL), n_ctx=1024, n_threads=1, flash_attn=True, verbose=False)
    expected = []
    for prompt in prompts:
        tokens: list[int] = []
        plain.reset()
        for token in plain.generate(prompt, temp=0.0, repeat_penalty=1.0):
            if bench.model.is_end(token):
                break
            tokens.append(token)
        expected.append(tokens)
    plain.close()
    native.take_errors()
    with bench.engine(slots=8) as engine:
        generations = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
        texts = [collect(generation).text for generation in generations]
    pieces = [b"".join(map(bench.model.piece, tokens)).decode() for tokens in expected]
    clear = [number for number, answer in enumerate(bench.alone(prompts)) if answer.clear]
    return {
        "asked": len(prompts),
        "expected": [pieces[number] for number in clear],
        "got": [texts[number] for number in clear],
    }


def canaries(bench: Bench) -> dict[str, Any]:
    """Random chats with a random mix of common beginnings come, are cancelled and evicted: nobody gets other text."""
    chance = random.Random(7)
    systems = [None, "Be brief.", "You answer questions about Millrace. " * 6]
    cases = [(question, system) for question in QUESTIONS for system in systems]
    prompts = [bench.prompt(question, system_prompt=system) for question, system in cases]
    answers = bench.alone(prompts, max_tokens=64)
    # Only clear replies can be compared; the others still come and go beside them.
    expected = {number: answer.text for number, answer in enumerate(answers) if answer.clear}
    wrong, cancelled = [], 0
    with bench.engine(slots=4, context=240) as engine:
        for _ in range(12):
            picked = [chance.randrange(len(cases)) for _ in range(10)]
            running = [(number, engine.submit(Request(prompts[number], GREEDY, max_tokens=64))) for number in picked]
            doomed = set(chance.sample(range(10), 3))
            for place in sorted(doomed)[:2]:
                running[place][1].cancel()  # most of these still wait
            for place, (number, generation) in enumerate(running):
                answer = collect(generation, cancel_after=2 if place in doomed else None)
                cancelled += answer.finish.reason == "cancelled"
                whole = answer.finish.reason == "completed"
                right = expected.get(number, answer.text)
                if answer.text != right if whole else not right.startswith(answer.text):
                    wrong.append({"case": cases[number], "got": answer.text, "expected": right})
                if not whole and place not in doomed:
                    wrong.append({"case": cases[number], "reason": answer.finish.reason})
        figures = engine.figures()
    return {
        "wrong": wrong,
        "compared": len(expected) / len(cases),
        "cancelled": cancelled,
        "evictions": figures.evictions,
        "cached": figures.cached_tokens,
        "left": [figures.running, figures.waiting],
    }


def cancel_in_prompt(bench: Bench) -> dict[str, Any]:
    """A long prompt is cancelled in the third of its steps."""
    [question], [expected] = clear_cases(bench, 1)
    with bench.engine(slots=1, context=4096) as engine:
        cancelled = threading.Event()

        def cancel_at_third(step: int, real: Callable[[], int]) -> int:
            if step == 3:
                cancelled.set()
            return real()

        scripted = Scripted(cancel_at_third)
        prompt = bench.prompt("word " * 1500)
        answer = collect(engine.submit(Request(prompt, GREEDY, cancelled=cancelled.is_set)))
        steps = len(scripted.batches)
        again = collect(engine.submit(Request(prompt, GREEDY, max_tokens=1)))
        other = collect(engine.submit(Request(question, GREEDY)))
        scripted.remove()
    return {
        "reason": answer.finish.reason,
        "tokens": answer.finish.completion_tokens,
        "prompt_tokens": len(prompt),
        "steps": steps,
        "kept": again.finish.cached_tokens,
        "next": other.text,
        "expected": expected,
    }


def cancel_while_generating(bench: Bench) -> dict[str, Any]:
    with bench.engine(slots=1, context=4096) as engine:
        generation = engine.submit(Request(bench.prompt("Hello"), Sampling(temperature=0, ignore_eos=True)))
        waiting = engine.submit(Request(bench.prompt("Hello"), GREEDY))
        rest = first_token(generation)
        waiting.cancel()
        generation.cancel()
        finish = next(event for event in rest if isinstance(event, Finish))
        queued = collect(waiting)
        after = collect(engine.submit(Request(bench.prompt(QUESTIONS[0]), GREEDY)))
    return {
        "reason": finish.reason,
        "tokens": finish.completion_tokens,
        "queued": [queued.finish.reason, queued.finish.completion_tokens, queued.text],
        "after": after.finish.reason,
    }


def long_prompt_beside_chats(bench: Bench) -> dict[str, Any]:
    """While a long prompt is processed, the others go on: between two of its chunks each gets a token."""
    with bench.engine(slots=4, context=4096) as engine:
        endless = Sampling(temperature=0, ignore_eos=True)
        chats = [engine.submit(Request(bench.prompt(QUESTIONS[n]), endless)) for n in range(3)]
        streams = [first_token(chat) for chat in chats]
        scripted = Scripted()
        prompt = bench.prompt("tell me more " * 900)
        collect(engine.submit(Request(prompt, GREEDY, max_tokens=1)))
        batches = list(scripted.batches)
        scripted.remove()
        for chat, stream in zip(chats, streams, strict=True):
            chat.cancel()
            list(stream)
    begun = next(number for number, size in enumerate(batches) if size > 3)
    ended = max(number for number, size in enumerate(batches) if size > 3)
    return {"prompt_tokens": len(prompt), "batches": batches[begun : ended + 1]}


def stop_strings(bench: Bench) -> dict[str, Any]:
    prompt = bench.prompt(QUESTIONS[0])
    [whole] = bench.alone([prompt])
    middle = whole.text[len(whole.text) // 2 :][:12]
    with bench.engine() as engine:
        cut = collect(engine.submit(Request(prompt, GREEDY, stop=("never there", middle))))
        last = collect(engine.submit(Request(prompt, GREEDY, stop=(whole.text[-1] + "and then something",))))
    return {
        "whole": whole.text, "stop": middle, "cut": cut.text, "deltas": cut.deltas, "reason": cut.finish.reason,
        "unstopped": last.text,
    }  # fmt: skip


def characters_over_tokens(bench: Bench) -> dict[str, Any]:
    """A grammar makes the model write what this vocabulary needs several tokens a character for."""
    wanted = "é🎉日本語🎊!"
    grammar = f'root ::= "{wanted}"'
    with bench.engine() as engine:
        answer = collect(engine.submit(Request(bench.prompt("Hi"), Sampling(temperature=0, grammar=grammar))))
        limit = answer.finish.completion_tokens
        every_length = [
            collect(engine.submit(Request(bench.prompt("Hi"), Sampling(temperature=0, grammar=grammar), max_tokens=n)))
            for n in range(1, limit)
        ]
    return {
        "wanted": wanted,
        "text": answer.text,
        "deltas": answer.deltas,
        "tokens": limit,
        "cut": [short.text for short in every_length],
    }


def json_schema(bench: Bench) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"name": {"enum": ["mill", "race"]}, "count": {"type": "integer"}}, "required": ["name", "count"]}  # fmt: skip  # noqa: E501
    grammar = grammar_for({"type": "json_schema", "json_schema": {"schema": schema}})
    texts = []
    with bench.engine() as engine:
        for seed in range(5):
            sampling = Sampling(temperature=1.0, seed=seed, grammar=grammar)
            texts.append(collect(engine.submit(Request(bench.prompt("Hi"), sampling, max_tokens=100))).text)
        try:
            collect(engine.submit(Request(bench.prompt("Hi"), Sampling(grammar="this is no grammar"))))
            refused = ""
        except LlamaChatError as problem:
            refused = str(problem)
        after = collect(engine.submit(Request(bench.prompt(QUESTIONS[0]), GREEDY))).finish.reason
    return {"texts": texts, "refused": refused, "after": after}


def seeds(bench: Bench) -> dict[str, Any]:
    def text(seed: int | None) -> str:
        # Each in its own engine: a remembered prompt is rounded differently, and so hot a choice may then flip.
        sampling = Sampling(temperature=4, top_k=0, top_p=1, min_p=0, seed=seed)
        with bench.engine(slots=1) as engine:
            return collect(engine.submit(Request(bench.prompt("Tell me something"), sampling, max_tokens=40))).text

    return {
        "same": [text(1), text(1), text(1)],
        "others": [text(seed) for seed in (2, 3)],
        "unseeded": [text(None) for _ in range(3)],
    }


def penalties(bench: Bench) -> dict[str, Any]:
    """With a strong penalty no token comes back within the window; without one, the endless reply repeats."""
    with bench.engine() as engine:
        plain = Sampling(temperature=0, ignore_eos=True)
        penalised = Sampling(temperature=0, ignore_eos=True, presence_penalty=100.0)
        return {
            "plain": collect(engine.submit(Request(bench.prompt("Hi"), plain, max_tokens=200))).deltas,
            "penalised": collect(engine.submit(Request(bench.prompt("Hi"), penalised, max_tokens=50))).deltas,
        }


def limits(bench: Bench) -> dict[str, Any]:
    with bench.engine(slots=2, context=256) as engine:
        endless = Sampling(temperature=0, ignore_eos=True)
        sampled = Sampling(temperature=0.7, ignore_eos=True)
        prompt = bench.prompt("Hi")
        exact = [collect(engine.submit(Request(prompt, s, max_tokens=50))).finish for s in (endless, sampled)]
        full = collect(engine.submit(Request(prompt, endless))).finish
        capped = collect(engine.submit(Request(prompt, endless, max_tokens=10_000))).finish
        refused = []
        for tokens in ([1] * 256, [1] * 5000, []):
            try:
                engine.submit(Request(tokens))
            except LlamaChatError as problem:
                refused.append(str(problem))
        almost = collect(engine.submit(Request([5] * 255, endless))).finish
    return {
        "exact": [[finish.reason, finish.completion_tokens] for finish in exact],
        "full": [full.reason, full.completion_tokens, full.prompt_tokens],
        "capped": capped.completion_tokens,
        "refused": refused,
        "almost": [almost.reason, almost.completion_tokens],
    }


def second_turn(bench: Bench) -> dict[str, Any]:
    system = "You answer questions about Millrace. " * 10
    with bench.engine() as engine:
        first_prompt = bench.prompt(QUESTIONS[0], system_prompt=system)
        first = collect(engine.submit(Request(first_prompt, GREEDY, max_tokens=40)))
        history = [[QUESTIONS[0], first.text]]
        prompts = [bench.prompt(question, system_prompt=system, history=history) for question in QUESTIONS[1:]]
        second_prompt, expected = next(
            (prompt, answer.text)
            for prompt, answer in zip(prompts, bench.alone(prompts, max_tokens=60), strict=True)
            if answer.clear
        )
        second = collect(engine.submit(Request(second_prompt, GREEDY, max_tokens=60)))
        stranger = collect(engine.submit(Request(bench.prompt(QUESTIONS[2], system_prompt=system), GREEDY)))
    return {
        "said": first.finish.prompt_tokens + first.finish.completion_tokens,
        "cached": second.finish.cached_tokens,
        "prompt": second.finish.prompt_tokens,
        "stranger_cached": stranger.finish.cached_tokens,
        "system_tokens": len(bench.model.tokenize(system)),
        "expected": expected,
        "text": second.text,
    }


def little_space(bench: Bench) -> dict[str, Any]:
    """A context with room for one chat serves all of them, one after the other."""
    prompts, expected = clear_cases(bench, 5)
    with bench.engine(slots=1, context=512) as engine:
        generations = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
        texts = [collect(generation).text for generation in generations]
        long = collect(engine.submit(Request(bench.prompt("word " * 200), Sampling(temperature=0, ignore_eos=True))))
        figures = engine.figures()
    return {"expected": expected, "texts": texts, "evictions": figures.evictions, "long": long.finish.reason}


def decode_codes(bench: Bench) -> dict[str, Any]:
    """Every answer that llama_decode may give, at the third call of a run with three chats."""
    prompts, expected = clear_cases(bench, 3)
    changes = {
        "no_space": at_third(1),
        "partly_done": at_third(2, after_real=True),
        "not_done": at_third(2),
        "invalid": at_third(-1),
        "fatal": at_third(-3),
    }
    results = {name: run_changed(bench, prompts, change) for name, change in changes.items()}
    return {"expected": expected, **results}


def at_third(code: int, *, after_real: bool = False) -> Callable[[int, Callable[[], int]], int]:
    def change(step: int, real: Callable[[], int]) -> int:
        if step != 3:
            return real()
        if after_real:
            real()
        return code

    return change


def run_changed(
    bench: Bench, prompts: Sequence[Sequence[int]], change: Callable[[int, Callable[[], int]], int]
) -> dict[str, Any]:
    crashes: queue.Queue[str] = queue.Queue()
    with bench.engine(on_crash=crashes.put) as engine:
        scripted = Scripted(change)
        generations = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
        texts = [text_or_reason(generation) for generation in generations]
        scripted.remove()
        stopped = any(text.startswith("stopped") for text in texts)
        said = [crashes.get(timeout=30)] if stopped else []
        try:
            collect(engine.submit(Request(prompts[0], GREEDY)))
        except EngineStoppedError as problem:
            said.append(str(problem))
    return {"texts": texts, "crashes": said}


def text_or_reason(generation: Generation) -> str:
    try:
        return collect(generation).text
    except EngineStoppedError as problem:
        return f"stopped: {problem}"


def invalid_token(bench: Bench) -> dict[str, Any]:
    """One request with a token that does not exist fails alone."""
    prompts, expected = clear_cases(bench, 2)
    with bench.engine() as engine:
        bad = engine.submit(Request([5, 10_000_000, 7], GREEDY))
        good = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
        texts = [collect(generation).text for generation in good]
        try:
            collect(bad)
            refused = ""
        except LlamaChatError as problem:
            refused = str(problem)
    return {"expected": expected, "texts": texts, "refused": refused}


def reader_leaves(bench: Bench) -> dict[str, Any]:
    """Somebody stops reading an endless reply: its slot is free for the next chat."""
    with bench.engine(slots=1, context=4096) as engine:
        endless = engine.submit(Request(bench.prompt("Hi"), Sampling(temperature=0, ignore_eos=True)))
        for _ in endless:
            break
        after = collect(engine.submit(Request(bench.prompt(QUESTIONS[0]), GREEDY)))
        generated = engine.figures().generated_tokens
    return {"after": after.finish.reason, "generated": generated}


def closing(bench: Bench) -> dict[str, Any]:
    with bench.engine(slots=1) as engine:
        endless = Sampling(temperature=0, ignore_eos=True)
        running, waiting = (engine.submit(Request(bench.prompt("Hi"), endless)) for _ in range(2))
        rest = first_token(running)
        engine.close("The module is stopping.")
        said = []
        for stream in (rest, iter(waiting)):
            try:
                list(stream)
            except EngineStoppedError as problem:
                said.append(str(problem))
    return {"said": said}


def first_words(bench: Bench) -> dict[str, Any]:
    """How many threads are left once a model has said its first word: of llama.cpp's own there may be none."""

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = threads()
    token = try_out(bench.model, threads=3)
    until = time.monotonic() + 10
    while threads() > before and time.monotonic() < until:
        time.sleep(0.01)
    return {"token": token, "left": threads() - before}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Bench())))
