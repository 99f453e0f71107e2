"""The routes of a module, from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from ...commands.routing import Route, path_key
from .module_settings import ModuleSettings, RouteMap

_CONTINUED = ("vision/custom", "pythonlongprocess/long-process", "dotnetlongprocess/long-process")
"""Routes of CodeProject.AI's modules that its clients call with more after them, such as the name of a model."""


def routes_of(module: ModuleSettings) -> list[Route]:
    """Return what a module serves."""
    return [
        Route(
            path=entry.route,
            module_id=module.module_id,
            module_name=module.name,
            queue=module.queue,
            command=entry.command,
            long_running=entry.long_running,
            idempotent=entry.idempotent,
            segments=_takes_segments(module, entry),
        )
        for entry in module.route_maps
    ]


def lost_routes_text(lost: Mapping[str, str]) -> str:
    """Say which paths (path → id of the module that has it, empty for the server) lead elsewhere; empty for none."""
    owners = {owner: [path for path, other in lost.items() if other == owner] for owner in lost.values()}
    return " ".join(_lost(paths, owner) for owner, paths in owners.items())


def _lost(paths: list[str], owner: str) -> str:
    names = " and ".join(f"'{path}'" for path in paths)
    whose = f"of the module {owner}, which had it first" if owner else "of the server itself"
    return f"A request for {names} is one {whose}. Give the route another name in this module's settings."


def _takes_segments(module: ModuleSettings, entry: RouteMap) -> bool:
    """A module that was written for CodeProject.AI expects what that did: there any path could go on."""
    if entry.segments is not None:
        return entry.segments
    return module.published_sdk or path_key(entry.route) in _CONTINUED
