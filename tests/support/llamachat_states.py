"""Runs in LlamaChat's own environment: states that are copied, cut, joined and stored; prints what happened as JSON.

python llamachat_states.py <name of a function below> <folder>
"""

from __future__ import annotations

import json
import logging
import random
import shutil
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llamachat.engine import sequence_state
from llamachat.engine.context import Context
from llamachat.engine.model import Model
from llamachat.engine.prompt_costs import measure
from llamachat.engine.request import Finish
from llamachat.engine.saving import Saver
from llamachat.engine.scheduler import Chunk
from llamachat.engine.sequence_state import State, cut
from llamachat.engine.sequences import Sequence as HeldSequence
from llamachat.engine.slot import Slot

from tests.support.gguf_models import write_recurrent, write_sliding
from tests.support.llamachat_behaviour import QUESTIONS, Bench
from tests.support.llamachat_prompt_cache import SYSTEM, ask, engine_with, two_turns


def other_kinds(bench: Bench, folder: Path) -> dict[str, Any]:
    """Models that cannot go back to any place in a conversation: what they are given back is right or nothing."""
    results = {}
    for name in ("sliding", "recurrent"):
        path = folder.parent / f"{name}.gguf"
        bench.model.close()
        bench.model = Model(write_sliding(path) if name == "sliding" else write_recurrent(path))
        talks = [TalkOfTokens(bench, seed) for seed in range(12)]
        clear = [talk for talk in talks if talk.clear]
        seen = []
        for talk in clear:
            shutil.rmtree(folder, ignore_errors=True)
            with engine_with(bench, folder) as engine:
                ask(engine, talk.first, 6)
            with engine_with(bench, folder) as engine:
                second = ask(engine, talk.second, 6)
                branch = ask(engine, talk.branch, 6)
                again = ask(engine, talk.second, 6)
            right = [second.text, branch.text, again.text] == [talk.second_reply, talk.branch_reply, talk.second_reply]
            seen.append([right, second.finish.cached_tokens - talk.said])
        results[name] = {"clear": len(clear), "seen": seen}
    return results


class TalkOfTokens:
    """A conversation in tokens: two turns, and another one that begins like half of the first."""

    def __init__(self, bench: Bench, seed: int) -> None:
        chance = random.Random(seed)

        def some(count: int) -> list[int]:
            return [chance.randrange(259, 290) for _ in range(count)]

        self.first = some(200)
        reply = generated(bench, self.first, 6)
        self.said = len(self.first) + len(reply) - 1  # the last token is never decoded
        self.second = [*self.first, *reply, *some(20)]
        self.branch = [*self.first[:100], *some(5)]  # what came just before decides its reply
        answers = bench.alone([self.second, self.branch], max_tokens=6)
        self.second_reply, self.branch_reply = (answer.text for answer in answers)
        self.clear = all(answer.lead > 0.03 for answer in answers)  # these weights are not quantised


def generated(bench: Bench, prompt: Sequence[int], most: int) -> list[int]:
    """The tokens of a greedy reply."""
    tokens: list[int] = []
    take = Slot.take

    def noting(slot: Slot, token: int, *rest: Any, **more: Any) -> Finish | None:
        tokens.append(token)
        return take(slot, token, *rest, **more)

    Slot.take = noting  # type: ignore[method-assign, assignment]
    try:
        bench.alone([prompt], max_tokens=most)
    finally:
        Slot.take = take  # type: ignore[method-assign]
    return tokens


def cut_and_join(bench: Bench, folder: Path) -> dict[str, Any]:
    """llama.cpp takes joined pieces for what it has copied out itself, with and without flash attention."""
    results: dict[str, Any] = {}
    chance = random.Random(5)
    tokens = [chance.randrange(300, 1000) for _ in range(600)]
    defaults = llama_cpp.llama_context_default_params
    for flash in (llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED, llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED):

        def parameters(kind: int = flash) -> Any:
            chosen = defaults()
            chosen.flash_attn_type = kind
            return chosen

        llama_cpp.llama_context_default_params = parameters
        context = Context(bench.model, length=1024, sequences=3, threads=1, batch=512)
        for start in (0, 300):
            context.decode([Chunk(0, 1, start, tokens[start : start + 300], wants_output=False)])
        whole = context.state(1)
        assert whole is not None
        places = [(0, 256), (256, 512), (512, 600)]
        pieces = [cut(whole, *place) for place in places]
        kept = [piece for piece in pieces if piece is not None]
        joined = context.join(kept)
        assert joined is not None
        taken = context.restore(2, joined, 600) and context.restore(0, joined, 500)
        copies = [context.state(sequence) for sequence in (2, 0)]
        assert copies[0] is not None
        assert copies[1] is not None
        refused = [cut(whole[: chance.randrange(len(whole))], 0, 256) is None for _ in range(50)]
        results[str(flash)] = {
            "pieces": len(kept),
            "taken": taken,
            "same": np.array_equal(without_sequence(copies[0]), without_sequence(whole)),
            "shorter": np.array_equal(without_sequence(copies[1]), part_of(whole, 0, 500)),
            "again": np.array_equal(kept[1], part_of(joined, 256, 512)),
            "outside": [cut(whole, 512, 601) is None, cut(whole, 600, 700) is None, cut(kept[1], 0, 256) is None],
            "gap": context.join([kept[0], kept[2]]) is None,
            "not from the start": context.join([kept[1]]) is None,
            "refused": all(refused),
            "swapped": context.restore(2, np.zeros(1000, np.uint8), 10),
        }
        context.close()
    llama_cpp.llama_context_default_params = defaults
    return {**results, "keys only": keys_only()}


def prompt_costs(bench: Bench, folder: Path) -> dict[str, Any]:
    """What prompt steps cost with the built-in model, and with those whose states cannot be put together."""
    models = {"built-in": bench.model}
    models |= {"sliding": Model(write_sliding(folder.parent / "sliding.gguf"))}
    models |= {"recurrent": Model(write_recurrent(folder.parent / "recurrent.gguf"))}
    seen = {}
    for name, model in models.items():
        costs = measure(model, length=1000, threads=1, batch=256, limit_s=120)
        times = [*costs.first.values(), *costs.deep.values()]
        seen[name] = {"first": list(costs.first), "deep": list(costs.deep), "depth": costs.depth, "least": min(times)}
    none = measure(bench.model, length=1000, threads=1, batch=256, limit_s=0)
    tiny = measure(bench.model, length=20, threads=1, batch=256)
    return {**seen, "no time": max(none.first, default=0), "tiny": [tiny.first, tiny.deep]}


def other_layout(bench: Bench, folder: Path) -> dict[str, Any]:
    """A llama.cpp that puts its cells in another way: what is remembered is then taken whole, and somebody is told."""
    first, _, second, expected = two_turns(bench)
    with listening() as said:
        with engine_with(bench, folder):
            known = list(said)
        with turned_around(), engine_with(bench, folder) as engine:
            ask(engine, first, 40)
            shared = ask(engine, bench.prompt(QUESTIONS[-1], system_prompt=SYSTEM), 1)
        with turned_around(), engine_with(bench, folder) as engine:
            again = ask(engine, second)
    return {
        "known": known,
        "said": said,
        "right": again.text == expected,
        "system": len(first) // 2,
        "shared": shared.finish.cached_tokens,
        "restored": again.finish.cached_tokens,
        "prompt": len(second),
    }


@contextmanager
def listening() -> Iterator[list[str]]:
    """What the engine says in the log."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("llamachat.engine").addHandler(handler)
    yield said
    logging.getLogger("llamachat.engine").removeHandler(handler)


@contextmanager
def turned_around() -> Iterator[None]:
    """Let llama.cpp write its states, and read them, with the last byte first."""
    get, put = llama_cpp.llama_state_seq_get_data, llama_cpp.llama_state_seq_set_data

    def turn(pointer: Any, size: int) -> None:
        state = np.ctypeslib.as_array(pointer, (size,))
        state[:] = state[::-1].copy()

    def get_turned(context: Any, pointer: Any, size: int, sequence: int) -> int:
        written = int(get(context, pointer, size, sequence))
        turn(pointer, size)
        return written

    def put_turned(context: Any, pointer: Any, size: int, sequence: int) -> int:
        turn(pointer, size)
        return int(put(context, pointer, size, sequence))

    llama_cpp.llama_state_seq_get_data, llama_cpp.llama_state_seq_set_data = get_turned, put_turned
    try:
        yield
    finally:
        llama_cpp.llama_state_seq_get_data, llama_cpp.llama_state_seq_set_data = get, put


def keys_only() -> dict[str, bool]:
    """A state of four cells in one of three streams, of a model with two layers that keeps no values."""
    cells = b"".join(struct.pack("<iIi", position, 1, 1) for position in (2, 0, 1, 3))
    rows = [bytes([position] * 6) for position in (2, 0, 1, 3)]
    layers = b"".join(struct.pack("<iQ", 1, 6) + b"".join(rows) for _ in range(2))
    head = struct.pack("<Ii", 0xAF143CD8, 1) + struct.pack("<III", 3, 0, 4)
    state = np.frombuffer(head + cells + struct.pack("<II", 0, 2) + layers + bytes(4), np.uint8)
    first, second = part_of(state, 0, 2), part_of(state, 2, 4)
    joined = sequence_state.joined([first, second], 3)
    assert joined is not None
    in_order = b"".join(bytes([position] * 6) for position in range(4))
    return {
        "sizes": len(joined) == len(state) and len(first) == len(second),
        "in order": joined.tobytes().count(in_order) == 2,
        "again": np.array_equal(part_of(joined, 2, 4), second),
    }


def part_of(state: State, start: int, end: int) -> State:
    piece = cut(state, start, end)
    assert piece is not None
    return piece


def without_sequence(state: State) -> State:
    """The same state whatever sequence it comes from and whichever stream of the context held it."""
    return part_of(state, 0, 500)


def saving_share(bench: Bench, folder: Path) -> dict[str, Any]:
    """While chats run, saving takes its small share; when they do not, it goes on as fast as it can."""
    now, taken = [0.0], []
    sequences = [HeldSequence(number, list(range(300)), last_used=number) for number in range(6)]

    class SlowMemory:
        piece_tokens = 256

        def state(self, sequence: int) -> State | None:
            taken.append((sequence, now[0]))
            now[0] += 1.0
            return None if sequence == 3 else np.zeros(10, np.uint8)

    class Instant:
        is_writing = False

        def lacks(self, tokens: Sequence[int], *, ended: bool) -> bool:
            return ended

        def save(self, tokens: Any, state: State, done: Callable[[float], None], *, ended: bool) -> None:
            done(1.0)

    saver = Saver(Instant(), SlowMemory(), clock=lambda: now[0])  # type: ignore[arg-type]
    sequences[5].in_use = True
    for sequence in sequences:
        saver.ended(sequence)
    for _ in range(100):
        saver.take_turn(busy=True)
        now[0] += 1.0
    busy = list(taken)
    while saver.take_turn(busy=False):
        pass
    return {"busy": busy, "then": [sequence for sequence, _ in taken[len(busy) :]]}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Bench(), Path(sys.argv[2]))))
