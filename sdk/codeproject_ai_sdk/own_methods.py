"""What a module must have of its own before it can serve."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module_runner import ModuleRunner


def missing_process(runner: ModuleRunner, base: type[ModuleRunner]) -> str:
    """Say that a module has no ``process()`` of its own, and which method may be meant as one; empty when it has."""
    if getattr(runner.process, "__func__", None) is not base.process:
        return ""
    kind = type(runner)
    own = {name for each in kind.__mro__ if each not in base.__mro__ for name in vars(each)}
    similar = difflib.get_close_matches("process", own, n=1)
    meant = f" Is it the one called '{similar[0]}'?" if similar else ""
    return f"{kind.__name__} has no method process(self, data), which answers its requests.{meant}"
