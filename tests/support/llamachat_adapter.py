"""Runs in LlamaChat's own environment: drives the adapter as its runner would, and prints what happened as JSON.

    python llamachat_adapter.py <name of a function below>

The settings come from the environment, as in the module process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import llama_chat_adapter
from codeproject_ai_sdk import RequestData
from llama_chat_adapter import LlamaChatAdapter


def request(**fields: str | list[str]) -> RequestData:
    values = [{"key": key, "value": value if isinstance(value, list) else [value]} for key, value in fields.items()]
    return RequestData(json.dumps({"reqid": "1", "payload": {"command": "prompt", "values": values}}))


def call(adapter: LlamaChatAdapter, data: RequestData) -> tuple[str, Any]:
    """Return whether the answer came at once or from the long process, and the answer."""
    answer = adapter.process(data)
    return ("long", answer(data)) if callable(answer) else ("at once", answer)


def started() -> LlamaChatAdapter:
    adapter = LlamaChatAdapter()
    adapter.initialise()
    return adapter


def chat() -> dict[str, Any]:
    adapter = started()
    data = request(prompt="What is a module?", temperature="0")
    how, answer = call(adapter, data)
    history = json.dumps([["What is a module?", answer["reply"]]])
    _, second = call(adapter, request(prompt="How do I poll?", history=history, temperature="0", max_tokens="3"))
    status = adapter.module_status()
    selftest = adapter.selftest()
    adapter.cleanup()
    adapter.cleanup()
    return {
        "how": how, "answer": answer, "streamed": data.reply.text, "second": second, "status": status,
        "selftest": selftest, "after": call(adapter, request(prompt="x")),
    }  # fmt: skip


def thinking() -> dict[str, Any]:
    """A grammar makes the model think first; the chat format of the environment knows the marks."""
    adapter = started()
    format_ = {"type": "grammar", "grammar": 'root ::= "<think>" "' + "Hm, well. " * 20 + '" "</think>\\nYes."'}
    fields = {"prompt": "Is it?", "temperature": "0", "response_format": json.dumps(format_)}
    data = request(**fields, logprobs="true", top_logprobs="2")
    seen: list[dict[str, Any]] = []
    update = data.reply.update

    def noticing(**values: Any) -> None:
        seen.append({"reply": data.reply.text, **values})
        update(**values)

    data.reply.update = noticing  # type: ignore[method-assign]
    _, answer = call(adapter, data)
    wrong = {
        "logit_bias": call(adapter, request(prompt="x", logit_bias='{"4096": 1}')),
        "reasoning": call(adapter, request(prompt="x", reasoning="maybe")),
        "top_logprobs": call(adapter, request(prompt="x", top_logprobs="2")),
        "grammar": call(adapter, request(prompt="x", response_format='{"type": "grammar", "grammar": "x"}')),
    }
    adapter.cleanup()
    return {"answer": answer, "streamed": data.reply.text, "fields": data.reply.fields, "seen": seen, "wrong": wrong}


def refusals() -> dict[str, Any]:
    adapter = started()
    wrong: dict[str, dict[str, str | list[str]]] = {
        "no prompt": {},
        "empty": {"prompt": "  "},
        "too long": {"prompt": "word " * 20_000},
        "temperature": {"prompt": "x", "temperature": "hot"},
        "messages": {"prompt": "x", "messages": "{"},
        "surrogates": {"prompt": "\ud800 \x00", "max_tokens": "1"},
    }
    answers = {name: call(adapter, request(**fields)) for name, fields in wrong.items()}
    whole = call(adapter, request(prompt="What is a module?", temperature="0"))[1]["reply"]
    stop = whole[10:18]
    good = call(adapter, request(prompt="What is a module?", stop=["not in it", stop], temperature="0"))
    adapter.cleanup()
    return {**answers, "good": good, "whole": whole, "stop": stop}


def no_model() -> dict[str, Any]:
    adapter = started()
    answers = {
        "call": call(adapter, request(prompt="x")),
        "status": adapter.module_status(),
        "selftest": adapter.selftest(),
    }
    adapter.cleanup()
    return answers


def cancel() -> dict[str, Any]:
    adapter = started()
    data = request(prompt="Hello", ignore_eos="true", temperature="0")
    long = adapter.process(data)
    assert callable(long)
    write, begun = data.reply.write, threading.Event()

    def noticing(text: str) -> None:
        write(text)
        if text:
            begun.set()

    data.reply.write = noticing  # type: ignore[method-assign]
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(long(data)))
    thread.start()
    assert begun.wait(60)
    data.reply.request_cancel()
    thread.join(30)
    finished = request(prompt="What is a module?", temperature="0")
    after = call(adapter, finished)
    adapter.cleanup()
    return {"answer": answers[0], "streamed": data.reply.text, "after": after}


def crash() -> dict[str, Any]:
    """The engine's thread dies: its chat fails with the reason, and the process is ended a little later."""
    exits: list[int] = []
    ended = threading.Event()

    def note_exit(code: int) -> None:
        exits.append(code)
        ended.set()

    os._exit = note_exit  # type: ignore[assignment]
    llama_chat_adapter._LAST_WORDS_S = 0.05
    adapter = started()
    assert adapter._chat is not None

    def broken(*_: Any) -> None:
        raise RuntimeError("out of luck")

    adapter._chat._engine._context.decode = broken  # type: ignore[method-assign, assignment]
    answer = call(adapter, request(prompt="x"))
    assert ended.wait(30)
    return {"answer": answer, "after": call(adapter, request(prompt="x")), "exits": exits}


def download() -> dict[str, Any]:
    """A model that must be downloaded first: calls say how far it is, and then work."""
    adapter = started()
    early = call(adapter, request(prompt="x"))
    early_status = adapter.module_status()
    for thread in threading.enumerate():
        if thread.name == "model-download":
            thread.join(60)
    late = call(adapter, request(prompt="What is a module?", temperature="0"))
    status = adapter.module_status()
    adapter.cleanup()
    return {"early": early, "early_status": early_status, "late": late, "status": status}


if __name__ == "__main__":
    print()
    print(json.dumps(globals()[sys.argv[1]]()))
