"""Running a module's own self-test from the command line, in the module's environment and without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ...config import ServerSettings
from ..process.launch_environment import by_hand_environment
from ..process.launch_plan import LaunchError
from .install_steps import InstallError
from .prepared_module import prepared

_FLAG = "--selftest"
"""What the SDK runs the self-test for."""


async def selftest(settings: ServerSettings, module_id: str, report: Callable[[str], None]) -> bool:
    """Install the module if need be and run its self-test; whether it succeeded. What is printed goes on."""
    try:
        ready = await prepared(settings, module_id, report)
    except (InstallError, LaunchError, LookupError) as error:
        report(f"{module_id}: {error}")
        return False
    plan = ready.plan
    environment = by_hand_environment(ready.module, settings.port, ready.macros, os.environ, plan.variables)
    process = await asyncio.create_subprocess_exec(*plan.command, _FLAG, cwd=plan.folder, env=environment)
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
