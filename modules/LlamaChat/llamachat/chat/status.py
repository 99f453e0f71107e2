"""What the module's status shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_chat import LlamaChat
    from text_embedder import TextEmbedder

    from llamachat.engine.model import Model

_MIB = 1024 * 1024


def status_of(chat: LlamaChat) -> dict[str, Any]:
    """Return the model, the settings it runs with, and the live figures."""
    settings, figures = chat.settings, chat.figures()
    return {
        **_model_values(chat.model, "chat", chat.device),
        "deviceName": chat.device_name,
        "threads": settings.threads,
        "batch": settings.batch,
        "contextSize": settings.context,
        "slots": settings.slots,
        "running": figures.running,
        "waiting": figures.waiting,
        "tokensPerSecond": figures.tokens_per_second,
        "promptTokensPerSecond": figures.prompt_tokens_per_second,
        "generatedTokens": figures.generated_tokens,
        "promptTokens": figures.prompt_tokens,
        "cachedPromptTokens": figures.cached_tokens,
        "restoredPromptTokens": figures.restored_tokens,
        "memoryHits": figures.memory_hits,
        "diskHits": figures.disk_hits,
        "rememberedChats": figures.remembered,
        "evictions": figures.evictions,
        "kvTokensUsed": figures.cells_used,
        "kvTokens": figures.cells,
        "promptCacheOn": figures.stores,
        "promptCacheFolder": str(settings.prompt_cache) if settings.prompt_cache else None,
        "promptCacheLimitMb": round(settings.prompt_cache_bytes / _MIB, 1),
        "promptCacheMb": round(figures.stored_bytes / _MIB, 1),
        "promptCacheEntries": figures.stored,
    }


def embedder_status_of(embedder: TextEmbedder) -> dict[str, Any]:
    """Return the embedding model, and the settings it runs with."""
    return {
        **_model_values(embedder.model, "embedding", embedder.device),
        "threads": embedder.threads,
        "dimensions": embedder.dimensions,
        "pooling": embedder.pooling,
        "contextSize": embedder.limit,
    }


def _model_values(model: Model, kind: str, device: str) -> dict[str, Any]:
    return {
        "modelLoaded": True,
        "kind": kind,
        "model": model.name,
        "modelFile": model.path.name,
        "modelSizeMb": round(model.size_bytes / _MIB, 1),
        "parameters": model.parameters,
        "quantization": model.quantisation,
        "device": device,
        "gpuLayers": model.gpu_layers,
    }


class DownloadStatus:
    """How far a download is; says when it is worth another line in the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, every_s: float = 5.0) -> None:
        self._clock = clock
        self._every_s = every_s
        self._said_at: float | None = None
        self._name = ""
        self._done = self._total = 0

    def note(self, name: str, done: int, total: int) -> bool:
        """Remember the progress; True when some seconds have passed since it last was True, and at the end."""
        self._name, self._done, self._total = name, done, total
        now = self._clock()
        due = self._said_at is None or now - self._said_at >= self._every_s or done == total
        if due:
            self._said_at = now
        return due

    def text(self) -> str:
        """Return the progress in words."""
        if not self._name:
            return "The model is still being loaded. Try again in a moment."
        of_total = f" of {self._total / _MIB:.1f} MiB, {100 * self._done // self._total} %" if self._total else ""
        return f"The model {self._name} is being downloaded: {self._done / _MIB:.1f} MiB{of_total}."

    def values(self) -> dict[str, Any] | None:
        """Return the progress for the status, None before it begins."""
        if not self._name:
            return None
        return {"file": self._name, "bytes": self._done, "totalBytes": self._total}
