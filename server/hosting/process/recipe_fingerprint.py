"""Whether a process that outlived its server is what would be started now, also for a later version of the server."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ...text import well_formed_tree
from ..settings.module_settings import ModuleSettings
from .launch_plan import LaunchPlan

_ADDED_SETTINGS = {"explorerframe", "restartonchange", "segments"}
"""What module settings have gained since processes were first taken over; ``None`` when it is not set."""


def recipe_fingerprint(module: ModuleSettings, plan: LaunchPlan) -> str:
    """Return what an orphan's recipe must equal for it to be what would be started now."""
    settings = _without_unset(msgspec.to_builtins(module))
    settings["installoptions"].pop("proof", None)  # how it was proven makes no other process of it
    parts = [settings, plan.command, str(plan.folder), *sorted(plan.variables.items())]
    return hashlib.sha256(msgspec.json.encode(well_formed_tree(parts))).hexdigest()


def _without_unset(value: Any) -> Any:
    """Leave out settings that earlier versions do not know, unless they are set: their processes live on."""
    if isinstance(value, dict):
        return {key: _without_unset(v) for key, v in value.items() if key not in _ADDED_SETTINGS or v is not None}
    return [_without_unset(item) for item in value] if isinstance(value, list) else value
