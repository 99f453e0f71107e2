"""Modules for the tests of changed settings, and calls to a server in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from server.app import App
from tests.support.hosting_modules import write_module

WAITING = """
import os, time
from pathlib import Path

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Waiting(ModuleRunner):
    def process(self, data: RequestData):
        return self.wait

    def wait(self, data: RequestData) -> JSON:
        if data.get_value("text", ""):
            data.reply.write("begun")
        data.reply.update(pid=os.getpid())
        gate = Path(os.environ["GATE"])
        while not gate.exists() and not (data.reply.cancelled and data.get_value("obeys", "")):
            time.sleep(0.01)
        return {"success": True, "pid": os.getpid(), "greeting": os.environ.get("GREETING", "")}


if __name__ == "__main__":
    Waiting().start_loop()
"""
"""Its long command ends when the file that GATE names is there, with ``obeys`` also when it is cancelled.

It shows its process, and with ``text`` a text.
"""


def write_waiting(modules: Path, module_id: str, gate: Path, **launch: Any) -> Path:
    """Write a module of the sort above that runs one command at a time."""
    return write_module(
        modules,
        module_id,
        WAITING,
        LaunchSettings={
            "FilePath": "adapter.py",
            "Runtime": "python",
            "RuntimeLocation": "System",
            "Parallelism": 1,
            **launch,
        },
        EnvironmentVariables={"GATE": f"@{gate}", "GREETING": "hello"},
        RouteMaps=[{"Route": f"test/{module_id.lower()}", "Command": "wait", "LongRunning": True}],
    )


async def ask(
    app: App, path: str, json: Any = None, headers: Mapping[str, str] | None = None, **values: str
) -> tuple[int, Any]:
    """POST values or JSON, or GET when there are none; return the status and the JSON of the answer."""
    url = f"http://127.0.0.1:{app.host._port}{path}"
    method = "POST" if values or json is not None else "GET"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=values or None, json=json, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def status(app: App, command_id: str) -> dict[str, Any]:
    """The record of a command."""
    _, record = await ask(app, f"/v1/commands/{command_id}")
    return dict(record)


async def until_state(app: App, command_id: str, *states: str) -> dict[str, Any]:
    """Wait until a command is in one of the states, and return its record."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 60
    while (record := await status(app, command_id))["state"] not in states:
        assert loop.time() < deadline, record
        await asyncio.sleep(0.02)
    return record


async def until_shown(app: App, command_id: str, name: str) -> Any:
    """Wait until a command's fields have one of that name, and return its value."""
    seen: dict[str, Any] = {}

    async def look() -> bool:
        seen.update((await status(app, command_id))["fields"] or {})
        return name in seen

    loop = asyncio.get_running_loop()
    deadline = loop.time() + 60
    while not await look():
        assert loop.time() < deadline, seen
        await asyncio.sleep(0.02)
    return seen[name]
