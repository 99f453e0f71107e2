"""Modules that call modules, where keys are needed: each such call is one of the owner whose command it is for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from server.app import App
from tests.support.hosting_modules import reach, running_app, write_module

ASKS = """
import json
import urllib.error
import urllib.request

from codeproject_ai_sdk import ModuleRunner, RequestData


class Asks(ModuleRunner):
    async def process(self, data: RequestData):
        if data.command == "long":
            return self.later
        return {"success": True, "asked": await self.call_api("test/echo", data={"a": "b"}), "settings": self.change()}

    def later(self, data: RequestData):
        with urllib.request.urlopen(f"http://localhost:{self.port}/v1/test/echo", b"a=b") as answered:
            return {"success": True, "asked": json.loads(answered.read())}

    def change(self):
        body = b"name=AutoStart&value=false"
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}/v1/settings/Echo", body) as answered:
                return answered.status
        except urllib.error.HTTPError as refused:
            return refused.code


if __name__ == "__main__":
    Asks().start_loop()
"""


async def call(app: App, path: str, key: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{app.host._port}{path}"
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as session, session.post(url) as answer:
        body: dict[str, Any] = await answer.json()
        return body


async def owner_of(app: App, answer: dict[str, Any]) -> str:
    """Whose the command was that was answered so, at its start or at its end."""
    return (await app.dispatcher.record(answer.get("commandId") or answer["requestId"])).owner


async def test_what_a_module_calls_belongs_to_whoever_it_works_for(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    write_module(modules, "Echo", RouteMaps=[{"Route": "test/echo", "Command": "echo", "LongRunning": True}])
    routes = [{"Route": "test/ask", "Command": "ask"}, {"Route": "test/later", "Command": "long"}]
    write_module(modules, "Asks", ASKS, RouteMaps=routes)
    keys = {"anna-key": "anna", "bert-key": "bert"}
    async with running_app(tmp_path, api_keys=keys, administrators=["anna", "bert"]) as app:
        for name in ("Echo", "Asks"):
            await reach(app, name, "Ready")
        answers = await asyncio.gather(*(call(app, "/v1/test/ask", f"{name}-key") for name in ("anna", "bert") * 4))
        for answer, name in zip(answers, ("anna", "bert") * 4, strict=True):
            assert await owner_of(app, answer["asked"]) == name
            assert answer["settings"] == 403, "an administrator's module is no administrator"
        command_id = (await call(app, "/v1/test/later", "bert-key"))["commandId"]
        after = 0
        while not (page := await app.dispatcher.read(command_id, after, 30)).ended:
            after = page.events[-1].seq
        result = json.loads(bytes((await app.dispatcher.record(command_id)).result or b"{}"))
        assert await owner_of(app, result["asked"]) == "bert"
