"""Measures a GGUF of the built-in model with llama.cpp: greedy replies to phrasings that training never saw.

    python training/evaluate.py                       # modules/LlamaChat/models/millrace-tiny.gguf
    python training/evaluate.py --limit 100           # a fast sample of each part
    python training/evaluate.py --wrong               # also prints every wrong reply

Right means: the reply is the fact's answer, word for word (white space apart). Honest means: the reply to an
off-topic question is the answer that says so, word for word. The last line is JSON; exit code 1 when the held-out
accuracy is below 85 % or the honesty below 95 %.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_dataset import OFF_TOPIC, Data, check, load, typo

ROOT = Path(__file__).resolve().parent.parent
NEEDED_RIGHT, NEEDED_HONEST = 0.85, 0.95


def squeeze(text: str) -> str:
    return " ".join(text.split())


class Chat:
    """One model, greedy, with the chat template of its file."""

    def __init__(self, path: Path, threads: int) -> None:
        from llama_cpp import Llama

        self.llama: Any = Llama(
            model_path=str(path), n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self.tokens = 0
        self.seconds = 0.0

    def ask(self, turns: list[str], system: str = "", max_tokens: int = 320) -> str:
        """`turns` are user, assistant, user, ... texts, ending with the user's."""
        messages = [{"role": "system", "content": system}] if system else []
        for i, text in enumerate(turns):
            messages.append({"role": "assistant" if i % 2 else "user", "content": text})
        start = time.perf_counter()
        answer = self.llama.create_chat_completion(messages=messages, temperature=0.0, max_tokens=max_tokens)
        self.seconds += time.perf_counter() - start
        self.tokens += int(answer["usage"]["completion_tokens"])
        return squeeze(str(answer["choices"][0]["message"]["content"]))


@dataclass
class Score:
    name: str
    right: int = 0
    total: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, question: str, reply: str, wanted: str, label: str = "") -> None:
        self.total += 1
        if reply == squeeze(wanted):
            self.right += 1
        else:
            self.wrong.append(f"[{label}] {question}  ->  {reply}")

    @property
    def share(self) -> float:
        return self.right / max(1, self.total)


Asked = list[tuple[str, str]]
"""Fact ids and questions."""


def questions(data: Data, rng: random.Random) -> tuple[Asked, Asked, list[str]]:
    """Return the held-out phrasings, those of the fresh set, and the off-topic questions, each in random order."""
    asked = [(fact_id, q) for fact_id, some in data.heldout.items() for q in some]
    newer = [(fact_id, q) for fact_id, some in data.fresh.items() for q in some]
    strange = list(data.off_heldout)
    for some in (asked, newer, strange):
        rng.shuffle(some)
    return asked, newer, strange


def system_prompt(data: Data, i: int) -> str:
    """Return the system prompt of the i-th question: two of five have one, which training never saw."""
    return data.heldout_systems[i % len(data.heldout_systems)] if i % 5 > 2 else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "modules/LlamaChat/models/millrace-tiny.gguf")
    parser.add_argument("--limit", type=int, default=0, help="at most this many questions of each part")
    # Two that wait for each other take three times as long where another program works on one of two cores.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wrong", action="store_true", help="print every wrong reply")
    args = parser.parse_args()

    data = load()
    errors, _ = check(data)
    for error in errors:
        print("error in the data:", error)
    chat = Chat(args.model, args.threads)
    rng = random.Random(5)
    facts, off = data.facts, data.facts[OFF_TOPIC].answer
    asked, newer, strange = questions(data, rng)
    limit = args.limit or 10**9

    held = Score("held-out phrasings")
    for i, (fact_id, question) in enumerate(asked[:limit]):
        held.add(question, chat.ask([question], system_prompt(data, i)), facts[fact_id].answer, fact_id)

    fresh = Score("of these, written after the last patterns")
    for i, (fact_id, question) in enumerate(newer[:limit]):
        reply = chat.ask([question], system_prompt(data, i))
        for score in (held, fresh):
            score.add(question, reply, facts[fact_id].answer, fact_id)

    honest = Score("honest when off-topic")
    for i, question in enumerate(strange[:limit]):
        honest.add(question, chat.ask([question], system_prompt(data, i)), off, OFF_TOPIC)

    rough = Score("held-out phrasings, shouted, whispered or misspelt")
    for i, (fact_id, question) in enumerate(rng.sample(asked, min(150, limit, len(asked)))):
        words = question.rstrip("?.!").split()
        long = [n for n, w in enumerate(words) if len(w) > 4 and w.isalpha()]
        if i % 3 == 0:
            question = " ".join(words).upper()
        elif i % 3 == 1:
            question = "hi there, " + " ".join(words).lower()
        elif long:
            n = rng.choice(long)
            words[n] = typo(words[n], rng)
            question = " ".join(words)
        rough.add(question, chat.ask([question]), facts[fact_id].answer, fact_id)

    second = Score("second, independent question")
    for _ in range(min(150, limit)):
        (_, first), (fact_id, question) = rng.sample(asked, 2)
        if rng.random() < 0.2:
            first = rng.choice(strange)
        reply = chat.ask([first])
        if rng.random() < 0.2:
            fact_id, question = OFF_TOPIC, rng.choice(strange)
        second.add(f"{first} / {question}", chat.ask([first, reply, question]), facts[fact_id].answer, fact_id)

    more = Score("follow-up: tell me more")
    for fact_id, first in rng.sample(asked, min(150, limit, len(asked))):
        fact, question = facts[fact_id], rng.choice(data.heldout_more)
        if fact.more:
            more.add(f"{first} / {question}", chat.ask([first, fact.answer, question]), fact.more, fact_id)

    late = Score("ninth question of a conversation")
    for _ in range(min(60, limit)):
        past = [text for fact_id, q in rng.sample(asked, 8) for text in (q, facts[fact_id].answer)]
        fact_id, question = rng.choice(asked)
        late.add(question, chat.ask([*past, question]), facts[fact_id].answer, fact_id)

    stop = Score("follow-up: how do I stop it")
    for fact_id, first in asked:
        fact = facts[fact_id]
        if fact.stop and stop.total < limit:
            question = rng.choice(data.heldout_stop)
            stop.add(
                f"{first} / {question}",
                chat.ask([first, fact.answer, question]),
                facts[fact.stop].answer,
                fact_id,
            )

    scores = [held, fresh, honest, rough, second, late, more, stop]
    if args.wrong:
        for score in scores:
            for line in score.wrong:
                print(f"{score.name}: {line}")
    for score in scores:
        print(f"{score.name:52s} {score.right:4d} of {score.total:4d}  {100 * score.share:5.1f} %")
    print(f"{'facts':52s} {len(facts) - 1:4d}")
    print(f"{'tokens per second, one reply at a time':52s} {chat.tokens / chat.seconds:7.0f}")
    passed = not errors and held.share >= NEEDED_RIGHT and honest.share >= NEEDED_HONEST
    print(
        json.dumps(
            {
                "model": args.model.name,
                "bytes": args.model.stat().st_size,
                "facts": len(facts) - 1,
                "held_out": round(held.share, 4),
                "held_out_questions": held.total,
                "fresh": round(fresh.share, 4),
                "fresh_questions": fresh.total,
                "honest": round(honest.share, 4),
                "off_topic_questions": honest.total,
                "rough": round(rough.share, 4),
                "second_turn": round(second.share, 4),
                "ninth_turn": round(late.share, 4),
                "follow_more": round(more.share, 4),
                "follow_stop": round(stop.share, 4),
                "tokens_per_second": round(chat.tokens / chat.seconds),
                "passed": passed,
            }
        )
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
