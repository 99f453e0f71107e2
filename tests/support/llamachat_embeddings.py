"""Runs in LlamaChat's own environment: makes vectors of texts, and prints what came out as JSON.

    python llamachat_embeddings.py <name of a function below> [model file]

The settings of the adapter come from the environment, as in the module process.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from codeproject_ai_sdk import RequestData
from llama_chat_adapter import LlamaChatAdapter
from llamachat.engine import embedder as engine_embedder
from llamachat.engine.errors import LlamaChatError
from text_embedder import TextEmbedder

TEXTS = ["the mill race runs", "water wheel", "a longer text, with more letters than the rest.", "x", "the mill"]


def request(command: str, **fields: str | list[str]) -> RequestData:
    values = [{"key": key, "value": value if isinstance(value, list) else [value]} for key, value in fields.items()]
    payload = {"command": command, "values": values}
    return RequestData(json.dumps({"reqid": "1", "payload": payload}))


def opened(path: str, **more: Any) -> TextEmbedder:
    return TextEmbedder(filename=path, model_dir=Path(path).parent, n_threads=1, **more)


def refused(ask: Any) -> str:
    try:
        ask()
    except LlamaChatError as problem:
        return str(problem)
    return ""


def vectors(path: str) -> dict[str, Any]:
    """All texts together, one after another, from several threads, and as llama_cpp's own class makes them."""
    ours = opened(path)
    together = ours.embed(TEXTS)
    alone = np.stack([ours.embed([text]).vectors[0] for text in TEXTS])
    threaded: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda at=at: threaded.update({at: ours.embed(TEXTS[at:]).vectors[0]}))
        for at in range(len(TEXTS))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tokens = [len(ours.model.tokenize(text, special=False, whole=True)) for text in TEXTS]
    seen = {
        "pooling": ours.pooling,
        "dimensions": ours.dimensions,
        "limit": ours.limit,
        "tokens": [together.tokens, sum(tokens)],
        "lengths": np.linalg.norm(together.vectors, axis=1).tolist(),
        "alone": cosines(together.vectors, alone),
        "threaded": cosines(together.vectors, np.stack([threaded[at] for at in range(len(TEXTS))])),
        "different": float((together.vectors @ together.vectors.T - np.eye(len(TEXTS))).max()),
    }
    ours.close()
    return seen


def reference(path: str, pooling: str) -> dict[str, Any]:
    """The same texts with llama_cpp's own class, told a pooling where the file says none."""
    ours = opened(path)
    theirs = llama_cpp.Llama(
        path, embedding=True, n_ctx=ours.limit, n_batch=ours.limit, n_ubatch=ours.limit, n_threads=1, verbose=False,
        **({"pooling_type": int(pooling)} if pooling else {}),
    )  # fmt: skip
    expected = np.array(theirs.embed(TEXTS, normalize=True))
    got = ours.embed(TEXTS).vectors
    ours.close()
    return {"cosines": cosines(got, expected)}


def cosines(left: Any, right: Any) -> list[float]:
    product = (left.astype(float) * right.astype(float)).sum(axis=1)
    found: list[float] = (product / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)).tolist()
    return found


def batches(path: str) -> dict[str, Any]:
    """How texts are divided into batches, and that a batch may be as long as the limit."""
    ours = opened(path)
    groups: list[list[int]] = []
    fill = engine_embedder.Embedder._fill

    def noting(embedder: Any, group: Any) -> None:
        groups.append([len(tokens) for tokens in group])
        fill(embedder, group)

    engine_embedder.Embedder._fill = noting  # type: ignore[method-assign, assignment]
    exact = "a" * (ours.limit - 2)  # with the two tokens at its ends
    ours.embed([exact, "b", exact, *["c"] * 70])
    asked = iter([False, False, True])
    cancelled = refused(lambda: ours.embed([exact] * 5, cancelled=lambda: next(asked)))
    long = refused(lambda: ours.embed(["b", exact + "aaa"]))
    return {"limit": ours.limit, "groups": groups, "cancelled": cancelled, "long": long}


def started() -> LlamaChatAdapter:
    adapter = LlamaChatAdapter()
    adapter.initialise()
    return adapter


def adapter() -> dict[str, Any]:
    module = started()

    def embed(**fields: str | list[str]) -> Any:
        return module.process(request("embed", **fields))

    whole = embed(input=json.dumps(TEXTS))
    fields = embed(input=list(TEXTS))
    coded = embed(input=TEXTS[0], encoding_format="base64")
    decoded = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4").tolist()
    wrong: dict[str, dict[str, str | list[str]]] = {
        "nothing": {},
        "an empty list": {"input": "[]"},
        "numbers": {"input": "[1, 2]"},
        "too many": {"input": ["x"] * 2049},
        "too much": {"input": "x" * (4 * 1024 * 1024 + 1)},
        "too long": {"input": ["x", "x" * 500]},
        "format": {"input": "x", "encoding_format": "int8"},
        "dimensions": {"input": "x", "dimensions": "33"},
        "no dimensions": {"input": "x", "dimensions": "0"},
    }
    seen = {
        "whole": whole,
        "fields": fields,
        "decoded": decoded,
        "shorter": embed(input=TEXTS[0], dimensions="8"),
        "bracket": embed(input="[not a list"),
        "status": module.module_status(),
        "selftest": module.selftest(),
        "chat": module.process(request("prompt", prompt="hello")),
        "refusals": {name: embed(**fields) for name, fields in wrong.items()},
    }
    module.cleanup()
    module.cleanup()
    return {**seen, "after": embed(input="x")}


def chat_model() -> dict[str, Any]:
    """A model that chats makes no vectors, and goes on chatting."""
    module = started()
    seen = {"embed": module.process(request("embed", input="x")), "status": module.module_status()}
    chat = module.process(request("prompt", prompt="What is a module?", max_tokens="3"))
    assert callable(chat)
    seen["chat"] = chat(request("prompt"))
    module.cleanup()
    return seen


def models() -> dict[str, Any]:
    module = started()
    seen = {"models": module.process(request("list_models")), "status": module.module_status()}
    module.cleanup()
    return {**seen, "after": module.process(request("list_models"))}


def refuses(path: str) -> dict[str, Any]:
    return {"said": refused(lambda: opened(path))}


if __name__ == "__main__":
    print()
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
