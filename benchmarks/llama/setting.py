"""What all rows of the benchmark share: the model, the programs' environments, and the sizes."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import msgspec

from ..options import Options
from .environments import make_model, module_python, peer_python, tools_python


class Setting(msgspec.Struct, frozen=True, dict=True):
    """Made once for a run. What a row does not need is not installed."""

    options: Options

    @cached_property
    def model(self) -> Path:
        """The model that all peers load."""
        return make_model(self.options.cache, self.options.say)

    @cached_property
    def module_python(self) -> Path:
        """The Python of LlamaChat."""
        return module_python()

    @cached_property
    def peer_python(self) -> Path:
        """The Python of llama.cpp's own server."""
        return peer_python(self.options.cache)

    @cached_property
    def tools_python(self) -> Path:
        """The Python that draws."""
        return tools_python(self.options.cache)

    @property
    def threads(self) -> int:
        """Threads that every peer computes with: what was asked for, else all processors that we may use."""
        if self.options.threads:
            return self.options.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def tokens(self) -> int:
        """How long every reply is."""
        return self.options.tokens
