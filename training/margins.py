"""Measures how near the replies of the built-in model are to the border, and what rounding can change about them.

    python training/margins.py                # every held-out phrasing and off-topic question, calculated in three ways
    python training/margins.py --limit 20     # a fast sample of each part

The *lead* of a reply is the least lead, in logits, that a token of the wanted reply has over the likeliest other
token. Greedy decoding gives the wanted reply exactly when its lead is above zero. llama.cpp calculates the same
numbers in other orders on other processors; here the prompt is also read one token at a time, and with flash
attention. The largest difference between these ways is what rounding does. The last line is JSON; exit code 1
when a part would fall below its limit (see evaluate.py) if every reply within that difference turned out wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from build_dataset import OFF_TOPIC, Data, load
from evaluate import NEEDED_HONEST, NEEDED_RIGHT, ROOT, questions, system_prompt

WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "one token at a time": {"n_batch": 1, "n_ubatch": 1},
    "with flash attention": {"flash_attn": True},
}


class Reader:
    """The model, calculated in one way."""

    def __init__(self, path: Path, threads: int, way: dict[str, Any]) -> None:
        from llama_cpp import Llama
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._llama: Any = Llama(
            str(path), n_ctx=2048, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False, **way
        )
        template = self._llama.metadata["tokenizer.chat_template"]
        self._format: Any = Jinja2ChatFormatter(template=template, eos_token="<|end|>", bos_token="")

    def lead(self, question: str, system: str, wanted: str) -> float:
        """Return the lead of the wanted reply to a question."""
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": question})
        prompt = self._tokens(self._format(messages=messages).prompt)
        reply = self._tokens(f"{wanted}<|end|>")
        self._llama.reset()
        self._llama.eval([*prompt, *reply])
        logits = np.array(self._llama.scores[len(prompt) - 1 : len(prompt) + len(reply) - 1])
        rows = np.arange(len(reply))
        own = logits[rows, reply].copy()
        logits[rows, reply] = -np.inf
        return float((own - logits.max(axis=1)).min())

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=True)
        return found


@dataclass
class Part:
    """Questions with their wanted replies, and the leads of these, one row for each way of calculating."""

    name: str
    needed: float
    asked: list[tuple[str, str, str]]
    leads: list[list[float]] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return the counts that the last line shows."""
        leads = np.array(self.leads)
        spread = float((leads.max(axis=0) - leads.min(axis=0)).max())
        near = int(((leads[0] > 0) & (leads[0] <= spread)).sum())
        right = [int(row.sum()) for row in leads > 0]
        return {
            "questions": len(self.asked),
            "right": right,
            "spread": round(spread, 4),
            "least_leads": [round(float(lead), 3) for lead in sorted(leads[0][leads[0] > 0])[:5]],
            "worst_case": right[0] - near,
            "passed": right[0] - near >= self.needed * len(self.asked),
        }


def parts(data: Data, limit: int) -> list[Part]:
    """Return what evaluate.py asks in its first three parts, with the same system prompts."""
    asked, newer, strange = questions(data, random.Random(5))
    held = [
        (question, system_prompt(data, i), data.facts[fact_id].answer)
        for some in (asked, newer)
        for i, (fact_id, question) in enumerate(some[:limit])
    ]
    off = data.facts[OFF_TOPIC].answer
    honest = [(question, system_prompt(data, i), off) for i, question in enumerate(strange[:limit])]
    return [Part("held_out", NEEDED_RIGHT, held), Part("honest", NEEDED_HONEST, honest)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "modules/LlamaChat/models/millrace-tiny.gguf")
    parser.add_argument("--limit", type=int, default=0, help="at most this many questions of each part")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    measured = parts(load(), args.limit or 10**9)
    for name, way in WAYS.items():
        reader = Reader(args.model, args.threads, way)
        for part in measured:
            part.leads.append([reader.lead(*asked) for asked in part.asked])
            print(f"{name}, {part.name}: {sum(lead > 0 for lead in part.leads[-1])} of {len(part.asked)}", flush=True)
    figures = {part.name: part.figures() for part in measured}
    print(json.dumps(figures))
    return 0 if all(found["passed"] for found in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
