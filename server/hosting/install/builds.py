"""The ways in which a package may be installed: a module's ladder, the best first."""

from __future__ import annotations

import asyncio
import os
from typing import Literal

import msgspec

from ..process.uv_tool import clean_environment
from .install_steps import InstallLog, Step
from .processor import processor_fingerprint
from .proof import ProofPlan, last_line

PROCESSOR = "%PROCESSOR%"
"""In a setting: a text that is another one for each kind of processor, so that no other's build is taken for it."""

_SECONDS = 60.0


class Build(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One rung of the ladder.

    ``origin``: ``wheel`` takes only what was built elsewhere, ``source`` builds here, ``any`` takes what comes first.
    ``config_settings`` go to the package's build, ``variables`` into the environment of the module's process.
    """

    name: str
    origin: Literal["wheel", "source", "any"] = "any"
    config_settings: list[str] = []
    variables: dict[str, str] = {}

    def options(self, package: str) -> list[str]:
        """Return what uv has to be told, so that it takes this build and no other, also from its cache."""
        if self.origin == "any":
            return []
        chosen = ["--only-binary" if self.origin == "wheel" else "--no-binary", package]
        for setting in self.config_settings:
            chosen += ["--config-settings-package", f"{package}:{setting}"]
        return chosen


ONLY = Build(name="as its requirements say")
"""The one way where a module names none."""


async def find_builds(plan: ProofPlan, python: str, log: InstallLog) -> list[Build]:
    """Ask the module for its ladder."""
    if plan.builds is None:
        return [ONLY]
    step = Step(
        title=f"Asking {plan.builds.name} how {plan.subject} can be installed",
        command=[python, str(plan.builds)],
        cwd=plan.builds.parent,
        environment=clean_environment(os.environ),
        seconds=_SECONDS,
    )
    outcome = await log.attempt(step, announce=False)
    try:
        builds = msgspec.json.decode(last_line(outcome), type=list[Build])
    except msgspec.MsgspecError as error:
        log.say(f"{plan.builds.name} names no builds ({outcome.how}): {error}")
        return [ONLY]
    processor = await asyncio.to_thread(processor_fingerprint)
    return [_for_processor(build, processor) for build in builds] or [ONLY]


def _for_processor(build: Build, processor: str) -> Build:
    settings = [setting.replace(PROCESSOR, processor) for setting in build.config_settings]
    return msgspec.structs.replace(build, config_settings=settings)
