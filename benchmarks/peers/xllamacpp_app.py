"""llama.cpp's own server. Run in xllamacpp's environment: MODEL CHATS CONTEXT THREADS, the context of all chats."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

xllamacpp: Any = importlib.import_module("xllamacpp")


def main(model: str, chats: int, context: int, threads: int) -> None:
    """Serve until the process is killed."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.n_parallel = chats
    parameters.n_ctx = context
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_gpu_layers = 0
    parameters.fit_params = False  # else it may choose another context
    parameters.ui = False
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    print(f"listens on {server.listening_address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], *(int(text) for text in sys.argv[2:5]))
