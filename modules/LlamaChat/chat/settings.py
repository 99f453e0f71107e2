"""The module's settings, from its environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "CPAI_MODULE_LLAMA_"
BUILT_IN_MODEL = "millrace-tiny.gguf"


@dataclass(frozen=True)
class ChatSettings:
    """Where the model is and how it runs; 0 (layers: -1) means to decide from the model and the machine."""

    model_dir: Path
    filename: str
    repo_id: str
    fileglob: str
    context: int
    threads: int
    gpu_layers: int


def read_settings(module_path: str | Path, environment: Mapping[str, str] = os.environ) -> ChatSettings:
    """Read the settings; a relative model folder lies in the module's folder.

    A number that is none counts as absent.
    """

    def text(name: str, default: str = "") -> str:
        return environment.get(PREFIX + name, "").strip() or default

    def number(name: str, default: int) -> int:
        try:
            return int(text(name))
        except ValueError:
            return default

    repo_id = text("MODEL_REPO").removeprefix("@")
    return ChatSettings(
        model_dir=Path(module_path, text("MODEL_DIR", "models")),
        # A self test runs without any variables; the built-in model is then the one to test.
        filename=text("MODEL_FILENAME", "" if repo_id else BUILT_IN_MODEL),
        repo_id=repo_id,
        fileglob=text("MODEL_FILEGLOB"),
        context=max(0, number("CONTEXT", 0)),
        threads=max(0, number("THREADS", 0)),
        gpu_layers=number("GPU_LAYERS", -1),
    )
