"""The module's settings, from its environment variables."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "CPAI_MODULE_LLAMA_"
BUILT_IN_MODEL = "millrace-tiny.gguf"


@dataclass(frozen=True)
class ChatSettings:
    """Where the model is and how it runs; 0 (layers and cache: -1) means to decide from the model and the machine.

    ``prompt_cache_dir`` None: conversations are remembered in memory only. ``complaints``: what is wrong with the
    variables, each a sentence for the log.
    """

    model_dir: Path
    filename: str
    repo_id: str
    fileglob: str
    context: int
    threads: int
    gpu_layers: int
    batch: int
    prompt_cache_dir: Path | None
    prompt_cache_mb: int
    chat_format: str
    complaints: tuple[str, ...] = ()


def read_settings(module_path: str | Path, environment: Mapping[str, str] = os.environ) -> ChatSettings:
    """Read the settings; a relative model folder lies in the module's folder.

    A number that is none, or out of range, counts as absent, with a complaint.
    """
    complaints: list[str] = []

    def text(name: str, default: str = "") -> str:
        return environment.get(PREFIX + name, "").strip() or default

    def number(name: str, default: int, least: int, most: int) -> int:
        given = text(name)
        with contextlib.suppress(ValueError):
            if not given or least <= int(given) <= most:
                return int(given or default)
        complaints.append(
            f"{PREFIX}{name} is '{given}', but must be a whole number from {least} to {most}; {default} is used."
        )
        return default

    def cache_dir() -> Path | None:
        given = text("PROMPT_CACHE_DIR")
        # A server that does not know %DATA_DIR% leaves it as it is.
        return Path(module_path, "prompt-cache" if given.startswith("%") else given) if given else None

    cache_mb = number("PROMPT_CACHE_MB", -1, -1, 100_000_000)
    repo_id = text("MODEL_REPO").removeprefix("@")
    return ChatSettings(
        model_dir=Path(module_path, text("MODEL_DIR", "models")),
        # A self test runs without any variables; the built-in model is then the one to test.
        filename=text("MODEL_FILENAME", "" if repo_id else BUILT_IN_MODEL),
        repo_id=repo_id,
        fileglob=text("MODEL_FILEGLOB"),
        context=number("CONTEXT", 0, 0, 100_000_000),
        threads=number("THREADS", 0, 0, 1024),
        gpu_layers=number("GPU_LAYERS", -1, -1, 10_000),
        batch=number("BATCH", 512, 32, 16_384),
        prompt_cache_dir=cache_dir() if cache_mb else None,
        prompt_cache_mb=cache_mb,
        chat_format=text("CHAT_FORMAT"),
        complaints=tuple(complaints),
    )
