"""Runs in LlamaChat's own environment: conversations that are remembered on disk; prints what happened as JSON.

python llamachat_prompt_cache.py <name of a function below> <folder>
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diskcache
import llama_cpp
import numpy as np
from llamachat.engine import context as context_module
from llamachat.engine import prompt_cache, prompt_store
from llamachat.engine.engine import Engine, EngineSettings
from llamachat.engine.model import Model
from llamachat.engine.prompt_cache import Deliver
from llamachat.engine.prompt_index import ROOT, Found, Piece, as_bytes
from llamachat.engine.prompt_store import PromptStore
from llamachat.engine.request import Generation, Request
from llamachat.engine.sampling import Sampling
from llamachat.engine.sequence_state import State

from tests.support.llamachat_behaviour import (
    GREEDY,
    MODEL,
    QUESTIONS,
    Answer,
    Bench,
    Scripted,
    collect,
)

MIB = 1024 * 1024
SYSTEM = "You answer questions about Millrace. " * 40
ENDLESS = Sampling(temperature=0, ignore_eos=True)
_said: list[str] = []


class Listener(logging.Handler):
    """Notes what the engine says in the log."""

    def emit(self, record: logging.LogRecord) -> None:
        _said.append(record.getMessage())


@contextmanager
def engine_with(bench: Bench, folder: Path, megabytes: float = 256, **more: Any) -> Iterator[Engine]:
    settings = {"slots": 2, "context": 1024, **more}
    settings |= {"threads": 1, "prompt_cache": folder, "prompt_cache_bytes": int(megabytes * MIB)}
    engine = Engine(bench.model, EngineSettings(**settings))
    try:
        yield engine
    finally:
        engine.close()


def ask(engine: Engine, prompt: Sequence[int], most: int = 60) -> Answer:
    return collect(engine.submit(Request(prompt, GREEDY, max_tokens=most)))


def two_turns(bench: Bench) -> tuple[list[int], Answer, list[int], str]:
    """A first turn with its answer, and a second one whose reply is clear."""
    first = bench.prompt(QUESTIONS[0], system_prompt=SYSTEM)
    [answer] = bench.alone([first], max_tokens=40)
    history = [[QUESTIONS[0], answer.text]]
    prompts = [bench.prompt(question, system_prompt=SYSTEM, history=history) for question in QUESTIONS[1:]]
    answers = bench.alone(prompts, max_tokens=60)
    prompt, reply = next((p, a.text) for p, a in zip(prompts, answers, strict=True) if a.clear)
    return first, answer, prompt, reply


def entries(folder: Path) -> list[Path]:
    """The files of the stored pieces."""
    return [path for path in folder.glob("*/*.val") if path.stat().st_size]


# What may be asked for. Each function returns what the test then judges.


def next_turn(bench: Bench, folder: Path) -> dict[str, Any]:
    """The engine ends between two turns; the second decodes only what is new."""
    first, _, second, expected = two_turns(bench)
    with engine_with(bench, folder) as engine:
        ask(engine, first, 40)
        warm = ask(engine, second).finish
    shutil.rmtree(folder)
    with engine_with(bench, folder) as engine:
        said = ask(engine, first, 40).finish
    with engine_with(bench, folder) as engine:
        scripted = Scripted()
        answer = ask(engine, second)
        batches = list(scripted.batches)
        scripted.remove()
        # The last token is decoded only where another one was sampled after it: that of the end.
        replied = answer.finish.completion_tokens - (answer.finish.reason == "length")
        figures = engine.figures()
        again = ask(engine, second).finish
        twice = engine.figures()
    return {
        "said": said.prompt_tokens + said.completion_tokens,
        "warm": warm.cached_tokens,
        "cold": said.cached_tokens,
        "cached": answer.finish.cached_tokens,
        "decoded": sum(batches) - replied,
        "prompt": len(second),
        "text": answer.text,
        "expected": expected,
        "figures": [figures.restored_tokens, figures.disk_hits, figures.memory_hits, figures.stored],
        "again": again.cached_tokens,
        "hits": [twice.disk_hits, twice.memory_hits],
        "mode": oct(folder.stat().st_mode & 0o777),
    }


def damaged(bench: Bench, folder: Path) -> dict[str, Any]:
    """Whatever happens to the files, the reply is right; what was damaged is gone."""
    first, _, second, expected = two_turns(bench)
    results: dict[str, Any] = {"expected": expected}
    for name, harm in HARMS.items():
        shutil.rmtree(folder, ignore_errors=True)
        with engine_with(bench, folder) as engine:
            ask(engine, first, 40)
        harm(folder)
        with engine_with(bench, folder) as engine:
            answer = ask(engine, second)
            stores = engine.figures().stores
        with engine_with(bench, folder) as engine:
            after = ask(engine, second).finish.cached_tokens
        results[name] = {"text": answer.text, "cached": answer.finish.cached_tokens, "stores": stores, "after": after}
    results["unpickled"] = (folder.parent / "unpickled").exists()
    return results


def flip_bit(folder: Path) -> None:
    for path in entries(folder):
        content = bytearray(path.read_bytes())
        content[len(content) * 2 // 3] ^= 1
        path.write_bytes(content)


def cut_off(folder: Path) -> None:
    for path in entries(folder):
        os.truncate(path, path.stat().st_size // 2)


def empty(folder: Path) -> None:
    for path in entries(folder):
        path.write_bytes(b"")


def delete(folder: Path) -> None:
    for path in entries(folder):
        path.unlink()


def exchange(folder: Path) -> None:
    """Each entry gets the whole file of another."""
    paths = entries(folder)
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)


class Mark:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self.path), 0o777, True)


def pickle_values(folder: Path) -> None:
    with diskcache.Cache(str(folder)) as cache:
        for key in list(cache):
            cache[key] = Mark(folder.parent / "unpickled")
        cache["a", "pickled", "key"] = b"x"


def garble_keys(folder: Path) -> None:
    """Each entry is found under a fingerprint that is not the model's."""
    with sqlite3.connect(folder / "cache.db") as database:
        for rowid, key in database.execute("SELECT rowid, key FROM Cache").fetchall():
            database.execute("UPDATE Cache SET key = ? WHERE rowid = ?", (b"\0" * 16 + key[16:], rowid))
    database.close()


def no_database(folder: Path) -> None:
    for path in folder.glob("cache.db*"):
        path.write_bytes(b"this is no database" * 100)


HARMS: dict[str, Callable[[Path], None]] = {
    "flipped": flip_bit,
    "cut off": cut_off,
    "empty": empty,
    "deleted": delete,
    "exchanged": exchange,
    "pickled": pickle_values,
    "foreign": garble_keys,
    "no database": no_database,
}


def other_models(bench: Bench, folder: Path) -> dict[str, Any]:
    """The same file elsewhere is the same model; one with another weight is not."""
    copy, changed = folder.parent / "copy.gguf", folder.parent / "changed.gguf"
    content = bytearray(MODEL.read_bytes())
    copy.write_bytes(content)
    content[-5] ^= 1
    changed.write_bytes(content)
    first, *_ = two_turns(bench)
    with engine_with(bench, folder) as engine:
        ask(engine, first)
    cached = {}
    for name, path in {"copy": copy, "changed": changed, "back": MODEL}.items():
        bench.model.close()
        bench.model = Model(path)
        with engine_with(bench, folder) as engine:
            cached[name] = ask(engine, first).finish.cached_tokens
    with engine_with(bench, folder) as engine:
        here = ask(engine, first).finish.cached_tokens
    llama_cpp.__version__ = "0.0.1"
    with engine_with(bench, folder) as engine:
        elsewhere = ask(engine, first).finish.cached_tokens
    return {**cached, "prompt": len(first), "same version": here, "other version": elsewhere}


def limit(bench: Bench, folder: Path) -> dict[str, Any]:
    """More conversations than there is room for: the least recently used ones leave."""
    chance = random.Random(3)
    lengths = [300, *[60] * 12, *[300] * 6]  # a long one needs the place of several short ones
    talks = [[chance.randrange(300, 1000) for _ in range(length)] for length in lengths]
    used = []
    for talk in talks:
        with engine_with(bench, folder, megabytes=4) as engine:
            ask(engine, talks[0], 2)  # this one is used all the time
            ask(engine, talk, 2)
        used.append(sum(path.stat().st_size for path in (*entries(folder), folder / "cache.db")))
    cached = []
    for talk in (talks[0], talks[-1], talks[1]):
        with engine_with(bench, folder, megabytes=4) as engine:
            cached.append(ask(engine, talk, 2).finish.cached_tokens)
    with engine_with(bench, folder, megabytes=0.5) as engine:
        small = engine.figures().stored_bytes
        ask(engine, talks[0], 2)
        kept = engine.figures().stored_bytes
    return {"used": used, "cached": cached, "smaller": [small, kept]}


def failing_disk(bench: Bench, folder: Path) -> dict[str, Any]:
    """Each time the chats go on, and one line says why nothing is remembered."""
    first, _, second, expected = two_turns(bench)

    def observe(place: Path) -> dict[str, Any]:
        _said.clear()
        with engine_with(bench, place) as engine:
            ask(engine, first, 40)
            text = ask(engine, second).text
        return {"right": text == expected, "said": list(_said), "stores": engine.figures().stores}

    folder.mkdir()
    (folder / "file").write_bytes(b"no folder")
    results = {"a file": observe(folder / "file"), "below a file": observe(folder / "file" / "below")}

    (folder / "used").mkdir(mode=0o755)
    (folder / "used" / "notes.txt").write_bytes(b"of somebody")
    results["other files"] = observe(folder / "used")
    results["other files"]["right"] &= (folder / "used").stat().st_mode & 0o777 == 0o755

    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    results["full"] = observe(folder / "full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    prompt_store._LOCKED_S = 0.05
    with engine_with(bench, folder / "locked") as engine:
        pass
    with sqlite3.connect(folder / "locked" / "cache.db") as database:
        database.execute("BEGIN EXCLUSIVE")
        prompt_cache._OPENING_S = 0.05
        _said.clear()
        with engine_with(bench, folder / "locked") as engine:  # opening waits for the lock, and is not waited for
            text = ask(engine, second).text
        results["locked from the start"] = {"right": text == expected, "said": [], "stores": engine.figures().stores}
        database.execute("ROLLBACK")
        prompt_cache._OPENING_S = 30.0
        _said.clear()
        with engine_with(bench, folder / "locked") as engine:
            database.execute("BEGIN IMMEDIATE")
            ask(engine, first, 40)
            text = ask(engine, second).text
        results["locked later"] = {"right": text == expected, "said": list(_said), "stores": engine.figures().stores}
        database.execute("ROLLBACK")
    database.close()
    return results


def shared_folder(bench: Bench, folder: Path) -> dict[str, Any]:
    """Two engines use one folder at the same time; each remembers, after a restart, what the other has stored."""
    _said.clear()
    prompts = [bench.prompt(question, system_prompt=SYSTEM) for question in QUESTIONS]
    answers = bench.alone(prompts, max_tokens=40)
    with engine_with(bench, folder) as one, engine_with(bench, folder) as other:
        texts: list[list[str]] = []
        for _ in range(2):
            generations = [
                [engine.submit(Request(prompt, GREEDY, max_tokens=40)) for engine in (one, other)] for prompt in prompts
            ]
            texts = [[collect(generation).text for generation in pair] for pair in generations]
    with engine_with(bench, folder) as engine:
        restored = [ask(engine, prompt, 40) for prompt in prompts]
    clear = [number for number, answer in enumerate(answers) if answer.clear]
    return {
        "expected": [answers[number].text for number in clear],
        "asked": len(prompts),
        "one": [texts[number][0] for number in clear],
        "other": [texts[number][1] for number in clear],
        "restored": [restored[number].text for number in clear],
        "cached": [answer.finish.cached_tokens for answer in restored],
        "system": len(bench.model.tokenize(SYSTEM)),
        "said": list(_said),
    }


def stranger(bench: Bench, folder: Path) -> dict[str, Any]:
    """After a restart, a stranger with the same system prompt needs work only on his own words."""
    prompts = [bench.prompt(question, system_prompt=SYSTEM) for question in QUESTIONS[1:]]
    answers = bench.alone(prompts, max_tokens=60)
    prompt, expected = next((p, a.text) for p, a in zip(prompts, answers, strict=True) if a.clear)
    with engine_with(bench, folder) as engine:
        ask(engine, bench.prompt(QUESTIONS[0], system_prompt=SYSTEM))
    with engine_with(bench, folder, slots=4) as engine:
        together = [engine.submit(Request(prompt, GREEDY, max_tokens=60)) for _ in range(4)]
        answers = [collect(generation) for generation in together]
    return {
        "system": len(bench.model.tokenize(SYSTEM)),
        "cached": [answer.finish.cached_tokens for answer in answers],
        "texts": [answer.text for answer in answers],
        "expected": expected,
    }


def not_taken(bench: Bench, folder: Path) -> dict[str, Any]:
    """llama.cpp refuses what was stored: the chat goes on without, and it is stored anew."""
    first, _, second, expected = two_turns(bench)
    with engine_with(bench, folder) as engine:
        ask(engine, first, 40)
    real = llama_cpp.llama_state_seq_set_data
    with engine_with(bench, folder) as engine:
        llama_cpp.llama_state_seq_set_data = lambda *_: 0
        answer = ask(engine, second)
        engine._cache.wait_written(30)
        anew = engine.figures().stored
    llama_cpp.llama_state_seq_set_data = real
    with engine_with(bench, folder) as engine:
        after = ask(engine, second).finish.cached_tokens
    return {
        "text": answer.text,
        "expected": expected,
        "cached": answer.finish.cached_tokens,
        "anew": anew,
        "after": after,
    }


def taking_turns(bench: Bench, folder: Path) -> dict[str, Any]:
    """Two conversations share the one place in memory; the disk gives each its beginning back."""
    first, _, second, expected = two_turns(bench)
    with engine_with(bench, folder, slots=1) as engine:
        said = ask(engine, first, 40).finish
        other = ask(engine, [7] * 100, 5).finish
        engine._cache.wait_written(30)
        answer = ask(engine, second)
        engine._cache.wait_written(30)
        other_again = ask(engine, [*[7] * 100, 8], 5).finish
        figures = engine.figures()
    return {
        "said": said.prompt_tokens + said.completion_tokens,
        "cached": answer.finish.cached_tokens,
        "other": [other.cached_tokens, other_again.cached_tokens],
        "text": answer.text,
        "expected": expected,
        "evictions": figures.evictions,
        "hits": [figures.disk_hits, figures.memory_hits],
    }


def canaries(bench: Bench, folder: Path) -> dict[str, Any]:
    """Random chats come, are cancelled, evicted, stored, restored and restarted: nobody gets other text."""
    context_module.PIECE_TOKENS, prompt_cache.WORTH_IT = 32, 8  # so that every chat has many pieces
    chance = random.Random(11)
    systems = [None, "Be brief.", "You answer questions about Millrace. " * 6]
    cases = [(question, system) for question in QUESTIONS for system in systems]
    prompts = [bench.prompt(question, system_prompt=system) for question, system in cases]
    answers = bench.alone(prompts, max_tokens=64)
    # Only clear replies can be compared; the others still come and go beside them.
    expected = {number: answer.text for number, answer in enumerate(answers) if answer.clear}
    wrong, totals = [], {"cancelled": 0, "evictions": 0, "restored": 0, "hits": 0, "compared": 0}
    for _ in range(6):
        with engine_with(bench, folder, megabytes=1.5, slots=3, context=240) as engine:
            for _ in range(3):
                picked = [chance.randrange(len(cases)) for _ in range(10)]
                running = [
                    (number, engine.submit(Request(prompts[number], GREEDY, max_tokens=64))) for number in picked
                ]
                doomed = set(chance.sample(range(10), 3))
                for place in sorted(doomed)[:2]:
                    running[place][1].cancel()
                for place, (number, generation) in enumerate(running):
                    answer = collect(generation, cancel_after=2 if place in doomed else None)
                    totals["cancelled"] += answer.finish.reason == "cancelled"
                    whole = answer.finish.reason == "completed"
                    right = expected.get(number, answer.text)
                    totals["compared"] += whole and number in expected
                    if answer.text != right if whole else not right.startswith(answer.text):
                        wrong.append({"case": cases[number], "got": answer.text, "expected": right})
            figures = engine.figures()
            totals["evictions"] += figures.evictions
            totals["restored"] += figures.restored_tokens
            totals["hits"] += figures.disk_hits
    used = sum(path.stat().st_size for path in folder.glob("*/*.val"))
    return {"wrong": wrong, **totals, "clear": len(expected) / len(cases), "used": used, "said": _said}


def cancel_while_restoring(bench: Bench, folder: Path) -> dict[str, Any]:
    """Chats that wait for the disk are cancelled and closed like any other."""
    first, _, second, expected = two_turns(bench)
    with engine_with(bench, folder) as engine:
        ask(engine, first, 40)
    with engine_with(bench, folder, slots=2) as engine:
        held = HeldReads(engine, 2)
        waiting = [engine.submit(Request(second, GREEDY, max_tokens=60)) for _ in range(2)]
        held.wait()
        waiting[0].cancel()
        beside = ask(engine, bench.prompt(QUESTIONS[0]), 3).finish  # in the place of the cancelled one
        held.go_on()
        answers = [collect(generation) for generation in waiting]
    with engine_with(bench, folder, slots=1) as engine:
        held = HeldReads(engine, 1)
        lost = engine.submit(Request(second, GREEDY))
        held.wait()
        engine.close("The module is stopping.")
        held.go_on()
        said = said_at_the_end(lost)
    return {
        "reasons": [answer.finish.reason for answer in answers],
        "text": answers[1].text,
        "expected": expected,
        "cached": [answer.finish.cached_tokens for answer in answers],
        "beside": beside.reason,
        "said": said,
    }


class HeldReads:
    """Keeps what was read from the engine until it may have it."""

    def __init__(self, engine: Engine, count: int) -> None:
        """``count``: how many chats are expected to wait for the disk."""
        self._left = count
        self._all_here = threading.Event()
        self._deliveries: list[Callable[[], None]] = []
        self._cache, self._load = engine._cache, engine._cache.load
        self._cache.load = self._hold  # type: ignore[method-assign]

    def _hold(self, path: Sequence[Found], deliver: Deliver) -> None:
        def keep(state: State | None, length: int) -> None:
            self._deliveries.append(lambda: deliver(state, length))
            if len(self._deliveries) == self._left:
                self._all_here.set()

        self._load(path, keep)

    def wait(self) -> None:
        assert self._all_here.wait(60)

    def go_on(self) -> None:
        self._cache.load = self._load  # type: ignore[method-assign]
        for delivery in self._deliveries:
            delivery()
        self._cache._wake()


def said_at_the_end(generation: Generation) -> str:
    try:
        collect(generation)
    except Exception as problem:
        return str(problem)
    return ""


def long_prompt_and_kill(bench: Bench, folder: Path) -> dict[str, Any]:
    """A process is killed while it answers a long prompt; the next one does not start from nothing."""
    prompt = long_prompt(bench)
    child = start_child("answer_forever", folder)
    assert child.stdout is not None
    full = len(prompt) // 256
    stored = 0
    while stored < full:
        stored = int(child.stdout.readline())
    child.kill()
    child.wait()
    with engine_with(bench, folder, context=4096) as engine:
        answer = ask(engine, prompt, 5)
    [expected] = bench_long(bench, prompt)
    return {
        "prompt": len(prompt),
        "cached": answer.finish.cached_tokens,
        "full": full * 256,
        "text": answer.text,
        "expected": expected.text,
        "clear": expected.clear,
    }


def bench_long(bench: Bench, prompt: Sequence[int]) -> list[Answer]:
    alone = bench.engine

    @contextmanager
    def longer(**more: Any) -> Iterator[Engine]:
        with alone(**{**more, "context": 4096}) as engine:
            yield engine

    bench.engine = longer  # type: ignore[method-assign, assignment]
    try:
        return bench.alone([prompt], max_tokens=5)
    finally:
        bench.engine = alone  # type: ignore[method-assign]


def long_prompt(bench: Bench) -> list[int]:
    return bench.prompt("How do I poll a command?", system_prompt="You answer questions about Millrace. " * 250)


def answer_forever(bench: Bench, folder: Path) -> None:
    """Says after each token how many pieces are stored."""
    with engine_with(bench, folder, context=4096) as engine:
        for _ in engine.submit(Request(long_prompt(bench), ENDLESS)):
            print(engine.figures().stored, flush=True)


def killed_while_saving(bench: Bench, folder: Path) -> dict[str, Any]:
    """Processes are killed in the middle of a write; what is found later is whole, and the rest is cleared away."""
    found = []
    for _ in range(3):
        child = start_child("write_forever", folder)
        assert child.stdout is not None
        while child.stdout.readline() != "in the middle\n":
            pass
        child.kill()
        child.wait()
        store = PromptStore(folder, FINGERPRINT, 40 * MIB)
        pieces = list(store.pieces())
        found.append([bool(np.all(store.read(piece) == content_of(piece))) for piece in pieces])
        store.close()
    left = len(list(folder.glob("*/*.val")))
    for path in folder.glob("*/*.val"):
        os.utime(path, (1, 1))  # what was left behind is old
    store = PromptStore(folder, FINGERPRINT, 40 * MIB)
    pieces = list(store.pieces())
    store.close()
    return {"found": found, "left": left, "pieces": len(pieces), "files": len(list(folder.glob("*/*.val")))}


FINGERPRINT = b"killed processes"


def content_of(piece: Piece) -> Any:
    return np.random.default_rng(list(piece.tokens)).integers(0, 255, 700_000, np.uint8)


def write_forever(bench: Bench, folder: Path) -> None:
    """Says when a piece is on the disk, and after some of them stays in the middle of one."""
    store = PromptStore(folder, FINGERPRINT, 40 * MIB)
    for _ in range(3):
        piece = some_piece()
        store.write(piece, content_of(piece))
        print("written", flush=True)

    def half(chunks: Any, size: int) -> memoryview:
        if len(chunks._parts) == 1:
            print("in the middle", flush=True)
            threading.Event().wait()
        return chunks._parts.pop(0)  # type: ignore[no-any-return]

    prompt_store._Chunks.read = half  # type: ignore[method-assign, assignment]
    store.write(some_piece(), content_of(some_piece()))


def some_piece() -> Piece:
    return Piece(ROOT, as_bytes([random.randrange(10_000) for _ in range(20)]))


def start_child(name: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__, name, str(folder)], stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    logging.getLogger().addHandler(Listener())
    logging.getLogger().setLevel(logging.INFO)
    print(json.dumps(globals()[sys.argv[1]](Bench(), Path(sys.argv[2]))))
