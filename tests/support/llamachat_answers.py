"""Runs in LlamaChat's own environment: the answer side with the built-in model; prints what happened as JSON.

python llamachat_answers.py <name of a function below>
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import llama_cpp
import numpy as np
from llama_chat import LlamaChat
from llamachat.chat.chat_formats import CHAT_FORMATS
from llamachat.chat.conversation import Message
from llamachat.chat.template import ChatTemplate
from llamachat.chat.template_sandbox import ChatTemplateError, SandboxedTemplate
from llamachat.engine import grammar
from llamachat.engine.errors import LlamaChatError
from llamachat.engine.model import Model
from llamachat.engine.request import Delta
from llamachat.engine.sampling import Sampling

MODEL = Path(__file__).resolve().parents[2] / "modules" / "LlamaChat" / "models" / "millrace-tiny.gguf"
QUESTION = "What is a module?"
GREEDY = Sampling(temperature=0)
THINKING_FORMAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.reasoning_content and loop.last %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined %}{{ '<think>\n' if enable_thinking else '<think>\n\n</think>\n\n' }}{% endif %}"
)


@contextmanager
def chat(template: str | None = None, **more: Any) -> Iterator[LlamaChat]:
    """A loaded model, with its own chat template or another."""
    with tempfile.TemporaryDirectory() as folder:
        if template is not None:
            path = Path(folder, "own.jinja")
            path.write_text(template, "utf-8")
            more["chat_format"] = str(path)
        loaded = LlamaChat(filename=MODEL.name, model_dir=MODEL.parent, n_threads=1, n_ctx=1024, **more)
        try:
            yield loaded
        finally:
            loaded.close()


def said(gbnf: str) -> dict[str, Any]:
    """The fields with which a model says just what a grammar wants."""
    return {"temperature": 0, "response_format": {"type": "grammar", "grammar": gbnf}}


def refusal(ask: Callable[[], Any]) -> str:
    try:
        ask()
    except LlamaChatError as problem:
        return str(problem)
    return ""


# What may be asked for. Each function returns what the test then judges.


def log_probabilities() -> dict[str, Any]:
    """Beside each token of a greedy reply: what llama_cpp.Llama's own logits say of it."""
    with chat() as loaded:
        ask = partial(loaded.do_chat, QUESTION, max_tokens=12)
        answer = ask(temperature=0, logprobs=True, top_logprobs=5)
        chunks = list(ask(temperature=0, logprobs=True, top_logprobs=5, stream=True))
        hot = ask(temperature=3, top_k=2, logit_bias={3: 5}, logprobs=True, top_logprobs=5)
        endless = ask(temperature=0, max_tokens=200, logprobs=True, top_logprobs=1, ignore_eos=True)
        stopped = ask(temperature=0, logprobs=True, stop=" module")
        plain = ask(temperature=0, logprobs=False)
        end_labels = [loaded.model.label(token) for token in loaded.model.end_tokens]
        prompt = ChatTemplate(loaded.model).tokens([{"role": "user", "content": QUESTION}])
    reference = llama_cpp.Llama(str(MODEL), n_ctx=1024, n_threads=1, logits_all=True, flash_attn=True, verbose=False)
    reference.eval(prompt)
    expected = []
    for _ in range(12):
        row = reference.scores[reference.n_tokens - 1].astype(np.float64)
        row = row - row.max()
        row = row - np.log(np.exp(row).sum())
        expected.append(sorted(map(float, row), reverse=True)[:5])
        reference.eval([int(row.argmax())])
    reference.close()
    return {
        "answer": answer,
        "chunks": chunks,
        "hot": hot,
        "endless": endless,
        "stopped": stopped,
        "plain": plain,
        "expected": expected,
        "end_labels": end_labels,
    }


def logit_bias() -> dict[str, Any]:
    with chat() as loaded:
        plain = text_of(loaded, temperature=0, max_tokens=10)
        first, other = (loaded.model.tokenize(text)[0] for text in (plain, "queue"))
        vocabulary = loaded.model.vocabulary_size
        return {
            "plain": plain,
            "first": loaded.model.label(first),
            "banned": text_of(loaded, temperature=0, max_tokens=10, logit_bias={first: -100}),
            "banned_sampled": text_of(loaded, temperature=1, max_tokens=1, logit_bias={str(first): -100}),
            "other": loaded.model.label(other),
            "forced": text_of(loaded, temperature=0.8, max_tokens=4, logit_bias={other: 100}),
            "last": refusal(lambda: text_of(loaded, max_tokens=1, logit_bias={vocabulary - 1: 0.5})),
            "unknown": refusal(lambda: text_of(loaded, max_tokens=1, logit_bias={vocabulary: 0.5})),
            "vocabulary": vocabulary,
        }


def text_of(loaded: LlamaChat, **fields: Any) -> str:
    completion = loaded.do_chat(QUESTION, **fields)
    assert isinstance(completion, dict)
    return str(completion["choices"][0]["message"]["content"])


def thinking() -> dict[str, Any]:
    """A grammar makes the model think, by marks that its template knows, and by marks that the prompt has opened."""
    itself = said('root ::= "<think>\\nHm, é.\\n</think>\\n\\n" "The answer."')
    with chat(THINKING_FORMAT) as loaded:
        whole = loaded.do_chat(QUESTION, **itself, logprobs=True)
        chunks = list(loaded.do_chat(QUESTION, **itself, stream=True))
        off = loaded.do_chat(QUESTION, **said('root ::= "Plain."'), reasoning=False)
        untouched = loaded.do_chat(QUESTION, **said('root ::= "Plain."'))
    with chat() as own:
        no_marks = own.do_chat(QUESTION, **itself)
        control = own.model.end_tokens[0]
        hidden = own.model.piece(control)
        own.model.reveal(f"<x>{own.model.label(control)}")
        revealed = [hidden.decode(), own.model.piece(control).decode(), own.model.label(control)]
    return {
        "whole": whole,
        "chunks": chunks,
        "off": off,
        "untouched": untouched,
        "no_marks": no_marks,
        "revealed": revealed,
    }


def opened_thinking() -> dict[str, Any]:
    """The prompt has begun the thinking, and the reply goes on in it."""
    messages: list[Message] = [{"role": "user", "content": QUESTION}]
    with chat(THINKING_FORMAT) as loaded:
        unended = loaded.do_chat(QUESTION, temperature=0, max_tokens=8, reasoning=True)
        request = loaded.prepare(messages, GREEDY, reasoning=True)
        script = replace(GREEDY, grammar='root ::= "Hm." "\\n</think>\\n" "Yes."')
        events = list(loaded.generate(replace(request, sampling=script)))
        ruled = replace(GREEDY, grammar='root ::= "{}"')
        begins_after = [
            loaded.prepare(messages, ruled, reasoning=reasoning).sampling.grammar_after
            for reasoning in (True, False, None)
        ]
    return {
        "unended": unended,
        "parts": [[event.reasoning, event.text] for event in events if isinstance(event, Delta)],
        "begins_after": begins_after,
    }


def late_grammar() -> dict[str, Any]:
    """A grammar that rules only what comes after a text that the model says by itself."""
    with chat() as loaded:
        free = text_of(loaded, temperature=0)
        sampling = replace(GREEDY, grammar='root ::= " [" [0-9]{3} "]"', grammar_after=" folder")
        request = loaded.prepare([{"role": "user", "content": QUESTION}], sampling)
        text = "".join(event.text for event in loaded.generate(request) if isinstance(event, Delta))
    return {"free": free, "text": text}


def history_of_thinking() -> dict[str, Any]:
    """The template decides what of earlier thinking the model sees again."""
    earlier: Message = {"role": "assistant", "content": "b", "reasoning_content": "hm"}
    asked: list[Message] = [{"role": "user", "content": "a"}, earlier]
    with chat(THINKING_FORMAT) as loaded:
        render = loaded._template._render
        return {"last": render(asked, {}), "old": render([*asked, {"role": "user", "content": "c"}], {})}


def _chain(length: int, rule: str, last: str) -> str:
    """A grammar whose rules each begin with the next one."""
    rules = [rule.format(number, number + 1) for number in range(length)]
    return "\n".join(["root ::= r0", *rules, f"r{length} ::= {last}"])


GRAMMARS = {
    "unknown rule": "root ::= missing",
    "left recursion": 'root ::= root "a" | "b"',
    "hidden left recursion": 'root ::= e root "x" | "y"\ne ::= f\nf ::= "" | "z"',
    "empty": "",
    "blank": "   ",
    "no root": 'start ::= "a"',
    "words": "this is no grammar",
    "deep": "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000,
    "deep rules": _chain(10_000, "r{} ::= r{}", '"a"'),
    "repetition": 'root ::= "a"{1000000}',
    "large": 'root ::= "' + "a" * 60_000 + '"{2000}',
    "many beginnings": _chain(40, 'r{0} ::= r{1} | r{1} "a"', '"b"'),
    "zero": 'root ::= "a\x00b"',
    "no such token": "root ::= <[99999999]>",
    "backward range": 'root ::= "a" [z-a]',
    "ambiguous": 'root ::= "a" root "b" | "a" root "c" | "a" root "d" | "a" root "e" | "f"{0}',
}


def bad_grammars() -> dict[str, Any]:
    """Each of them, and after it a chat as if nothing had been."""
    seen = {}
    with chat() as loaded:
        expected = text_of(loaded, temperature=0, max_tokens=5)
        likes_a = {loaded.model.tokenize("a")[0]: 100}
        for name, gbnf in GRAMMARS.items():
            seen[name] = refusal(partial(text_of, loaded, **said(gbnf), logit_bias=likes_a))
            assert text_of(loaded, temperature=0, max_tokens=5) == expected, name
        surrogate = text_of(loaded, **said('root ::= "a\ud800b"'))
        # The grammar wants the end, and the sampling forbids it.
        endless = refusal(partial(text_of, loaded, **said('root ::= "a"'), logit_bias=likes_a, ignore_eos=True))
        assert text_of(loaded, temperature=0, max_tokens=5) == expected
    return {"seen": seen, "surrogate": surrogate, "endless": endless}


def grammars() -> dict[str, Any]:
    """Grammars with every way of choosing; the reply ends by itself where the grammar does."""
    gbnf = 'root ::= "[" [a-f]{3,6} ("," [a-f]{3,6}){2} "]"'
    ways: dict[str, dict[str, Any]] = {
        "greedy": {"temperature": 0},
        "hot": {"temperature": 4, "top_k": 0, "top_p": 1.0, "seed": 3},
        "narrow": {"temperature": 0.7, "top_k": 1, "seed": 3},
        "biased": {"temperature": 0, "logit_bias": {3: -100, 4: 5}},
    }
    with chat() as loaded:
        answers = {
            name: loaded.do_chat(QUESTION, **way, response_format={"type": "grammar", "grammar": gbnf}, logprobs=True)
            for name, way in ways.items()
        }
        same = [text_of(loaded, **ways["hot"], response_format={"type": "grammar", "grammar": gbnf}) for _ in range(2)]
        plain = text_of(loaded, temperature=0, max_tokens=30)
        asked: list[int] = []
        with patch.object(grammar.GrammarSampler, "_restrict", noting(asked, grammar.GrammarSampler._restrict)):
            unhindered = loaded.do_chat(QUESTION, **said(f"root ::= {json.dumps(plain, ensure_ascii=False)}"))
        penalised = Sampling(temperature=0, presence_penalty=1.5, grammar=gbnf)
        request = loaded.prepare([{"role": "user", "content": QUESTION}], penalised)
        text = "".join(event.text for event in loaded.generate(request) if isinstance(event, Delta))
    return {
        "answers": answers, "same": same, "plain": plain, "unhindered": unhindered, "asked": asked, "penalised": text,
    }  # fmt: skip


def noting(sizes: list[int], restrict: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Notes about how many tokens a grammar is asked, each time."""

    def restricted(sampler: grammar.GrammarSampler, candidates: Any) -> None:
        sizes.append(int(candidates.size))
        restrict(sampler, candidates)

    return restricted


def chat_formats() -> dict[str, Any]:
    """Each format: a second turn begins with the first and its reply; and what is wrong is said."""
    turns = {}
    systems: list[list[Message]] = [[], [{"role": "system", "content": "Be kind."}]]
    with chat() as loaded:
        for name in CHAT_FORMATS:
            render = ChatTemplate(loaded.model, name)._render
            for system in systems:
                first: list[Message] = [*system, {"role": "user", "content": "Hi"}]
                for reply in ("Hello", " Hello there. ", "\n- a\n- b\n", ""):
                    more: list[Message] = [
                        {"role": "assistant", "content": reply},
                        {"role": "user", "content": "More?"},
                    ]
                    turns[f"{name} {len(system)} {reply!r}"] = [render(first, {}), reply, render([*first, *more], {})]
        wrong = {
            "unknown": refusal(lambda: ChatTemplate(loaded.model, "klingon")),
            "missing file": refusal(lambda: ChatTemplate(loaded.model, "missing.jinja")),
        }
        with patch.object(Model, "chat_template", None):  # as of a file that has none
            wrong["no template"] = refusal(lambda: ChatTemplate(loaded.model))
    return {"turns": turns, "wrong": wrong}


def chat_format_setting() -> dict[str, Any]:
    """A setting goes before the model's own template."""
    with chat() as loaded:
        own, source = text_of(loaded, temperature=0), loaded.model.chat_template
    with chat(source) as loaded:
        from_file = text_of(loaded, temperature=0)
    with chat(chat_format="chatml") as loaded:
        chatml = text_of(loaded, temperature=0)
    with chat(chat_format="alpaca") as loaded:
        stopped = text_of(loaded, **said('root ::= "Yes.\\n### Instruction:\\nMore"'))
    return {
        "own": own,
        "from_file": from_file,
        "chatml": chatml,
        "stopped": stopped,
        "broken": refusal(broken_template),
    }


def broken_template() -> None:
    with chat("{% if %}"):
        pass


TEMPLATES = {
    "large range": "{% for i in range(10**9) %}x{% endfor %}",
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops over a list": "{% set r = range(9999)|list %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "repeated text": "{{ 'a' * 10 ** 7 * 100 }}",
    "doubled by ~": "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by +": "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled by a block": (
        "{% set n = namespace(x='aa') %}{% for i in range(60) %}"
        "{% set b %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = b %}{% endfor %}"
    ),
    "endless macro": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "branching macro": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "padding": "{{ 'x'.ljust(1000000000) }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "change": "{{ messages.append(1) }}",
    "error": "{{ 1 / 0 }}",
    "own error": "{{ raise_exception('roles must alternate') }}",
}  # fmt: skip


def templates() -> dict[str, Any]:
    """What a template must not do, and what usual ones do."""
    refused = {}
    messages = [{"role": "user", "content": "é"}]
    for name, source in TEMPLATES.items():
        try:
            refused[name] = "rendered: " + SandboxedTemplate(source).render(messages=messages)[:100]
        except ChatTemplateError as problem:
            refused[name] = str(problem)
    usual = SandboxedTemplate(
        "{% for m in messages %}\n"
        "    {% if m.role == 'tool' %}{% continue %}{% endif %}\n"
        "{% generation %}{{ m.content ~ '|' ~ loop.index0 + 1 ~ '|' ~ 'ab' * 2 }}{% endgeneration %}\n"
        "{% endfor %}\n"
        "{{ messages|tojson }} {{ strftime_now('%Y')|length }} {{ tools is none }}"
    ).render(messages=[*messages, {"role": "tool"}], tools=None)
    return {"refused": refused, "usual": usual, "messages": messages}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
