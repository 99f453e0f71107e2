"""Modules that say very much at once: text comes in pieces, what has none ends its command, and never its module."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.app import App
from server.commands.command import Command, Payload, result_object
from tests.support.hosting_modules import reach, running_app, write_module

MUCH = 70_000_000
MODULE = f"""
import os

from codeproject_ai_sdk import LogMethod, ModuleRunner, RequestData

MUCH = {MUCH}


class Talks(ModuleRunner):
    def module_status(self):
        return {{"much": "s" * (MUCH if self.says_status else 1)}}

    def initialise(self):
        self.says_status = False

    def process(self, data: RequestData):
        if data.command == "pid":
            return {{"success": True, "pid": os.getpid()}}
        if data.command == "quick":
            return {{"success": True, "reply": "q" * MUCH}}
        return getattr(self, data.command)

    def text(self, data: RequestData):
        data.reply.write("t" * MUCH)
        return {{"success": True, "written": MUCH}}

    def fields(self, data: RequestData):
        data.reply.update(small=1)
        data.reply.update(big="f" * MUCH)

    def result(self, data: RequestData):
        return {{"success": True, "big": "r" * MUCH}}

    def rest(self, data: RequestData):
        self.says_status = True
        self.log(LogMethod.Server, {{"message": "l" * MUCH, "label": "l" * MUCH, "loglevel": "information"}})
        self.inference_device = "d" * MUCH
        return {{"success": True}}


if __name__ == "__main__":
    Talks().start_loop()
"""
ROUTES = [{"Route": f"test/{name}", "Command": name} for name in ("pid", "quick", "text", "fields", "result", "rest")]


async def run(app: App, name: str) -> Command:
    """Run a command to its end."""
    route = next(route for route in app.routes.all() if route.command == name)
    command = await app.dispatcher.submit(route, "anonymous", Payload())
    await asyncio.wait_for(app.dispatcher.answer(command.command_id, 120), 120)
    after = 0
    while not (page := await app.dispatcher.read(command.command_id, after, 120)).ended:
        after = page.events[-1].seq
    return await app.dispatcher.record(command.command_id)


async def pid(app: App) -> Any:
    return result_object(await run(app, "pid"))["pid"]


@pytest.mark.slow
async def test_whatever_a_module_says_too_much_of_costs_that_command_alone(tmp_path: Path) -> None:
    launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System", "Parallelism": 2}
    write_module(tmp_path / "modules", "Talks", MODULE, LaunchSettings=launch, RouteMaps=ROUTES)
    async with running_app(tmp_path) as app:
        await reach(app, "Talks", "Ready")
        first = await pid(app)
        written = await run(app, "text")
        assert (written.reason, result_object(written)["written"]) == (None, MUCH)
        assert len((await app.dispatcher.reply(written.command_id)).text or "") == MUCH
        for name, part in (("quick", "answer"), ("fields", "'big'"), ("result", "answer")):
            record = await run(app, name)
            assert (record.state.value, record.reason) == ("failed", "module_error")
            assert part in (record.error or "")
            assert "too long" in (record.error or "")
        assert (await run(app, "rest")).reason is None
        said = [entry.entry for entry in app.log.after(0, 1000) if "lllll" in entry.entry]
        assert len(said) == 1
        assert await pid(app) == first, "it is the same process"
        assert (await reach(app, "Talks", "Ready", "Busy")).state_reason is None
