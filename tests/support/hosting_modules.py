"""Small modules written on the spot, and a server in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from server.app import App
from server.config import ServerSettings
from server.hosting.catalogue import ModuleStatus

ECHO = """
import os

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Echo(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True, "pid": os.getpid(), "greeting": os.environ.get("GREETING", "")}


if __name__ == "__main__":
    Echo().start_loop()
"""


def write_module(modules: Path, module_id: str, code: str = ECHO, **settings: Any) -> Path:
    """Write a module that needs no packages; ``settings`` replaces whole sections. Returns its folder."""
    folder = modules / module_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter.py").write_text(code)
    values = {
        "Name": module_id,
        "Version": "1.0.0",
        "LaunchSettings": {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System"},
        "RouteMaps": [{"Route": f"test/{module_id.lower()}", "Command": "echo"}],
        **settings,
    }
    (folder / "modulesettings.json").write_text(json.dumps({"Modules": {module_id: values}}, indent=2))
    return folder


@contextlib.asynccontextmanager
async def running_app(folder: Path, **settings: Any) -> AsyncIterator[App]:
    """Run a whole server in this event loop, with the modules in ``folder/modules``."""
    values = {"port": 0, "data_dir": folder / "data", "modules_dir": folder / "modules", "drain": 0.0, **settings}
    app = await asyncio.to_thread(App, ServerSettings(**values))
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def status_of(app: App, module_id: str) -> ModuleStatus | None:
    """Return how a module is; ``None`` when there is no such module."""
    return next((status for status in app.host.statuses() if status.module_id == module_id), None)


async def reach(app: App, module_id: str, *states: str, seconds: float = 30.0) -> ModuleStatus:
    """Wait until a module is in one of the states."""

    def there() -> bool:
        status = status_of(app, module_id)
        return status is not None and status.state in states

    try:
        await eventually(there, seconds)
    except AssertionError:
        raise AssertionError(f"{module_id} is not {states} but {status_of(app, module_id)}") from None
    found = status_of(app, module_id)
    assert found is not None
    return found


async def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "it never came true"
        await asyncio.sleep(0.02)
