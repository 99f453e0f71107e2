"""A module twice in one server: two processes of the same program, each with settings, queue and routes of its own."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import psutil

from tests.support.hosting_modules import eventually, reach, running_app, status_of, write_module
from tests.support.server_process import ROOT
from tests.support.settings_modules import ask


def write_instance(modules: Path, module_id: str, **values: object) -> None:
    folder = modules / module_id
    folder.mkdir(exist_ok=True)
    settings = {"Modules": {module_id: {"InstanceOf": "Echo", **values}}}
    (folder / "modulesettings.json").write_text(json.dumps(settings))


async def test_an_instance_is_dropped_in_serves_and_is_taken_away(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    write_module(modules, "Echo", EnvironmentVariables={"GREETING": "hello"})
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        write_instance(modules, "Twin", EnvironmentVariables={"GREETING": "hi"})
        shown = await reach(app, "Twin", "Ready")
        assert (shown.queue, shown.name) == ("twin_queue", "Twin")
        answers = [(await ask(app, path, a="b"))[1] for path in ("/v1/test/echo", "/v1/test/echo/twin")]
        assert [answer["greeting"] for answer in answers] == ["hello", "hi"]
        assert [answer["moduleId"] for answer in answers] == ["Echo", "Twin"]
        await asyncio.to_thread(shutil.rmtree, modules / "Twin")
        await eventually(lambda: status_of(app, "Twin") is None)
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["pid"] == answers[0]["pid"]
        await eventually(lambda: app.workers.of_module("Twin") is None)


async def test_a_killed_one_does_not_hurt_the_other(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    write_instance(tmp_path / "modules", "Twin")
    async with running_app(tmp_path) as app:
        for module_id in ("Echo", "Twin"):
            await reach(app, module_id, "Ready")
        pids = [(await ask(app, path, a="b"))[1]["pid"] for path in ("/v1/test/echo", "/v1/test/echo/twin")]
        await asyncio.to_thread(psutil.Process(pids[1]).kill)
        await reach(app, "Twin", "Backoff")
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["pid"] == pids[0]
        await reach(app, "Twin", "Ready")
        assert (await ask(app, "/v1/test/echo/twin", a="b"))[1]["pid"] not in pids


async def test_a_setting_of_one_is_none_of_the_other(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": ""})
    write_instance(tmp_path / "modules", "Twin", EnvironmentVariables={"GREETING": "hi"})
    async with running_app(tmp_path) as app:
        for module_id in ("Echo", "Twin"):
            await reach(app, module_id, "Ready")
        pids = [(await ask(app, path, a="b"))[1]["pid"] for path in ("/v1/test/echo", "/v1/test/echo/twin")]
        for module_id, path, other, pid in (
            ("Twin", "/v1/test/echo/twin", "/v1/test/echo", pids[0]),
            ("Echo", "/v1/test/echo", "/v1/test/echo/twin", None),
        ):
            greeting = f"for {module_id}"
            await ask(app, f"/v1/settings/{module_id}", name="GREETING", value=greeting)
            await reach(app, module_id, "Ready")
            assert (await ask(app, path, a="b"))[1]["greeting"] == greeting
            answer = (await ask(app, other, a="b"))[1]
            assert answer["greeting"] != greeting
            assert pid in (None, answer["pid"])


async def test_an_instance_whose_module_is_gone_says_so_and_comes_back_with_it(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    write_instance(tmp_path / "modules", "Twin")
    async with running_app(tmp_path) as app:
        await reach(app, "Twin", "Ready")
        await asyncio.to_thread(shutil.move, folder, tmp_path / "Echo")
        shown = await reach(app, "Twin", "Failed")
        assert "there is no module in" in (shown.state_reason or "")
        await asyncio.to_thread(shutil.move, tmp_path / "Echo", folder)
        await reach(app, "Twin", "Ready")


async def test_the_documented_instance_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "writing-a-module.md").read_text("utf-8")
    settings, adapter, instance = (
        re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
        for language in ("json", "python", "json5")
    )
    own = settings.replace("Shared", "System").replace("python3.11", "python")
    for name, files in {
        "Shout": {"modulesettings.json": own, "shout_adapter.py": adapter},
        "Loud": {"modulesettings.json": instance},
    }.items():
        (tmp_path / "modules" / name).mkdir(parents=True)
        for file, content in files.items():
            (tmp_path / "modules" / name / file).write_text(content)
    async with running_app(tmp_path) as app:
        await reach(app, "Loud", "Ready")
        assert (await ask(app, "/v1/text/shout/loud", text="hello"))[1]["reply"] == "HELLO"
