"""``llama_cpp.Llama``, one chat after the other. Run in LlamaChat's environment: MODEL CONTEXT THREADS.

A line on its standard input is ``{"chats": [MESSAGES, …], "tokens": COUNT, "sampling": {…}}``; a line on its output
answers with a list: for each chat ``first`` and ``ended``, in seconds since all were asked for, and the ``reason``.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import llama_cpp


def main(model: str, context: int, threads: int) -> None:
    """Answer until the input ends."""
    llama = llama_cpp.Llama(
        model, n_ctx=context, n_threads=threads, n_threads_batch=threads, n_gpu_layers=0, flash_attn=True, verbose=False
    )
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        answers = []
        for messages in asked["chats"]:
            options = {"max_tokens": asked["tokens"], "stream": True, **asked["sampling"]}
            answers.append(_follow(llama.create_chat_completion(messages, **options), began))
        print(json.dumps(answers), flush=True)


def _follow(chunks: Any, began: float) -> dict[str, Any]:
    first, reason = 0.0, None
    for chunk in chunks:
        choice = chunk["choices"][0]
        if choice["delta"].get("content"):
            first = first or time.perf_counter() - began
        reason = choice["finish_reason"] or reason
    return {"first": first, "ended": time.perf_counter() - began, "reason": reason}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
