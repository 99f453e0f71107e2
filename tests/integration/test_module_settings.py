"""Changing the settings of modules while a server runs: saved, taken up, and nothing that waits is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.app import App
from tests.support.hosting_modules import eventually, reach, running_app, status_of, write_module
from tests.support.settings_modules import ask, until_shown, until_state, write_waiting

LAUNCH = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System"}


def saved(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "data" / "modulesettings.json").read_text("utf-8"))["Modules"]


async def changed(app: App, module_id: str, name: str, value: str) -> Any:
    code, answer = await ask(app, f"/v1/settings/{module_id}", name=name, value=value)
    assert code == 200
    return answer


async def test_a_setting_is_saved_and_its_module_alone_is_started_anew(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"Greeting": "one"})
    write_module(tmp_path / "modules", "Other")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        await reach(app, "Other", "Ready")
        before = {name: (await ask(app, f"/v1/test/{name}", a="b"))[1]["pid"] for name in ("echo", "other")}
        answer = await changed(app, "eCHO", "GREETING", "two")
        assert answer["success"] is True
        assert "Echo" in answer["message"] or "eCHO" in answer["message"]
        assert saved(tmp_path) == {"Echo": {"EnvironmentVariables": {"Greeting": "two"}}}
        await reach(app, "Echo", "Ready")
        after = (await ask(app, "/v1/test/echo", a="b"))[1]
        assert after["greeting"] == "two"
        assert after["pid"] != before["echo"]
        # When the watcher has seen the new module, it has seen the changed file too, and found nothing to do for it.
        write_module(tmp_path / "modules", "Third")
        await reach(app, "Third", "Ready")
        assert (await ask(app, "/v1/test/other", a="b"))[1]["pid"] == before["other"]
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["pid"] == after["pid"]


async def test_the_settings_are_shown(tmp_path: Path) -> None:
    variables = {"Size": 640, "HUB_TOKEN": "hush", "MAX_TOKENS": 5, "EMPTY_KEY": ""}
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables=variables, GpuOptions={"EnableGPU": False})
    async with running_app(tmp_path, launch_modules=False) as app:
        for path in ("/v1/settings/Echo", "/v1/server/settings/echo", "/v1/Server/Settings/ECHO/"):
            code, answer = await ask(app, path)
            assert (code, answer["success"]) == (200, True)
            assert answer["settings"] == {
                "autostart": True,
                "logVerbosity": 1,
                "postStartPauseSecs": 3,
                "restartOnChange": None,
                "parallelism": 0,
                "installGPU": True,
                "enableGPU": False,
                "acceleratorDeviceName": "",
                "halfPrecision": "enable",
            }
            shown = {"Size": "640", "HUB_TOKEN": "********", "MAX_TOKENS": "5", "EMPTY_KEY": ""}
            assert answer["environmentVariables"] == shown
        everything = json.dumps([app.host.statuses()[0].startup_summary])
        assert "hush" not in everything
        code, answer = await ask(app, "/v1/settings/Nobody")
        assert (code, answer["success"], answer["error"]) == (200, False, "No module found with ID Nobody")


async def test_several_settings_are_one_restart(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": "one"}, LaunchSettings=LAUNCH)
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        values = {"GREETING": "two", "Parallelism": 3, "EnableGPU": False, "UseHalfPrecision": "Disable"}
        _, answer = await ask(app, "/v1/settings", json={"Echo": values})
        assert answer["success"], answer
        await reach(app, "Echo", "Ready")
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["greeting"] == "two"
        assert saved(tmp_path)["Echo"] == {
            "EnvironmentVariables": {"GREETING": "two"},
            "LaunchSettings": {"Parallelism": 3},
            "GpuOptions": {"EnableGPU": False, "HalfPrecision": "disable"},
        }
        begun = [entry.entry for entry in app.log.after(0, 1000) if entry.entry.endswith("Starting")]
        assert len(begun) == 2
        assert (await ask(app, "/v1/server/settings", json={}))[1]["error"] == "No settings provided"


async def test_a_module_is_stopped_started_and_restarted(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        pid = (await ask(app, "/v1/test/echo", a="b"))[1]["pid"]
        await changed(app, "Echo", "AutoStart", "false")
        await reach(app, "Echo", "Stopped")
        assert not await asyncio.to_thread(psutil.pid_exists, pid)
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["success"] is False
        stopped = status_of(app, "Echo")
        assert stopped is not None
        assert stopped.last_seen, "it was seen, though its process is gone"
        await changed(app, "Echo", "Activate", "True")
        await reach(app, "Echo", "Ready")
        pid = (await ask(app, "/v1/test/echo", a="b"))[1]["pid"]
        file = (tmp_path / "data" / "modulesettings.json").read_bytes()
        await changed(app, "Echo", "Restart", "now")
        await reach(app, "Echo", "Ready")
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["pid"] != pid
        assert (tmp_path / "data" / "modulesettings.json").read_bytes() == file, "a restart saves nothing"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LD_PRELOAD", "/tmp/evil.so", "has no setting 'LD_PRELOAD'. It has: AutoStart"),
        ("FilePath", "other.py", "has no setting"),
        ("AutoStart", "perhaps", "must be true or false"),
        ("Parallelism", "-1", "whole number"),
        ("LogVerbosity", "shouting", "quiet, info, loud"),
        ("UseHalfPrecision", "half", "force, enable, disable"),
        ("AcceleratorDeviceName", "x" * 300, "at most 256"),
        ("AcceleratorDeviceName", "x\0y", "without NUL"),
        ("GREETING", "x" * 40_000, "at most 32768"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_changes(tmp_path: Path, name: str, value: str, said: str) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": ""})
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        worker = app.workers.of_module("Echo")
        _, answer = await ask(app, "/v1/settings", json={"Echo": {"GREETING": "x", name: value}})
        assert answer["success"] is False
        assert said in answer["error"]
        assert not (tmp_path / "data" / "modulesettings.json").exists()
        assert app.workers.of_module("Echo") is worker
        assert (await ask(app, "/v1/settings/Nobody", name="a", value="b"))[1]["error"] == (
            "No module with ID Nobody found"
        )
        assert (await ask(app, "/v1/settings/Echo", name="GREETING"))[0] == 400
        assert (await ask(app, "/v1/settings", json={"Echo": [1]}))[0] == 400
        no_value = {"values": [{"key": "Echo", "value": []}]}
        assert (await ask(app, "/v1/settings", json=no_value))[1]["error"] == "No settings provided"


async def test_a_file_with_comments_is_left_as_it_is(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": ""})
    path = tmp_path / "data" / "modulesettings.json"
    path.parent.mkdir()
    text = '{"Modules": {"Echo": {"EnvironmentVariables": {"GREETING": "mine"}}}} // my own words'
    path.write_text(text)
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        answer = await changed(app, "Echo", "GREETING", "yours")
        assert answer["success"] is False
        assert "not plain JSON" in answer["error"]
        assert path.read_text() == text
        assert (await ask(app, "/v1/test/echo", a="b"))[1]["greeting"] == "mine"


async def test_a_setting_that_the_server_s_environment_decides_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": ""})
    monkeypatch.setenv("GREETING", "from outside")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        answer = await changed(app, "Echo", "GREETING", "two")
        assert "started with GREETING, which goes first" in answer["message"]


async def test_what_runs_is_ended_in_peace_and_what_waits_is_served_by_the_new_process(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_waiting(tmp_path / "modules", "Waiting", gate)
    async with running_app(tmp_path) as app:
        await reach(app, "Waiting", "Ready")
        commands = [(await ask(app, "/v1/test/waiting", text="x"))[1]["commandId"] for _ in range(3)]
        old = await until_shown(app, commands[0], "pid")
        await changed(app, "Waiting", "GREETING", "hi")
        shown = status_of(app, "Waiting")
        assert shown is not None
        assert (shown.state, shown.state_reason) == ("Stopping", "its settings have changed")
        late = (await ask(app, "/v1/test/waiting", text="x"))[1]
        assert late["state"] == "queued", "it takes commands all the while"
        gate.touch()
        first, *others = [
            await until_state(app, each, "completed", "failed") for each in [*commands, late["commandId"]]
        ]
        assert first["state"] == "completed", first
        assert (first["result"]["pid"], first["result"]["greeting"]) == (old, "hello")
        assert {each["state"] for each in others} == {"completed"}
        assert {each["result"]["greeting"] for each in others} == {"hi"}
        assert old not in {each["result"]["pid"] for each in others}


async def test_a_restart_that_is_asked_for_is_not_called_a_change_of_settings(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    folder = write_waiting(tmp_path / "modules", "Waiting", gate)
    async with running_app(tmp_path) as app:
        await reach(app, "Waiting", "Ready")
        command = (await ask(app, "/v1/test/waiting", text="x"))[1]["commandId"]
        await until_shown(app, command, "pid")
        (folder / "more.py").write_text("x = 1\n")
        await eventually(lambda: bool(getattr(status_of(app, "Waiting"), "changed", None)), 60)
        await changed(app, "Waiting", "Restart", "now")
        shown = status_of(app, "Waiting")
        assert shown is not None
        assert (shown.state, shown.state_reason, shown.notes) == ("Stopping", "a restart was asked for", [])
        gate.touch()
        await until_state(app, command, "completed")


async def test_what_takes_too_long_is_stopped_cut_off_with_the_reason_or_begun_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_waiting(tmp_path / "modules", "Waiting", gate, Parallelism=3)
    async with running_app(tmp_path, module_drain=0.05) as app:
        await reach(app, "Waiting", "Ready")
        sent = ({"text": "x", "obeys": "yes"}, {"text": "x"}, {"other": "x"})
        commands = [(await ask(app, "/v1/test/waiting", None, None, **values))[1]["commandId"] for values in sent]
        old = {await until_shown(app, command, "pid") for command in commands}
        await changed(app, "Waiting", "GREETING", "hi")
        obedient, seen, unseen = commands
        for command in (obedient, seen):  # the first was asked to stop and did, so it is no more whole than the other
            cut = await until_state(app, command, "failed")
            assert (cut["reason"], cut["text"]) == ("module_stopped", "begun")
            assert "its settings have changed" in cut["error"]
        gate.touch()
        again = await until_state(app, unseen, "completed", "failed")
        assert again["state"] == "completed"
        assert again["result"]["greeting"] == "hi"
        assert again["result"]["pid"] not in old


async def test_a_process_that_dies_while_it_ends_its_work_is_replaced_at_once(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_waiting(tmp_path / "modules", "Waiting", gate)
    async with running_app(tmp_path) as app:
        await reach(app, "Waiting", "Ready")
        command = (await ask(app, "/v1/test/waiting", other="x"))[1]["commandId"]
        old = await until_shown(app, command, "pid")
        await changed(app, "Waiting", "GREETING", "hi")
        await asyncio.to_thread(psutil.Process(old).kill)
        await reach(app, "Waiting", "Ready", "Busy")
        gate.touch()
        assert (await until_state(app, command, "completed", "failed"))["result"]["greeting"] == "hi"


async def test_changes_that_follow_each_other_end_in_the_last(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_waiting(tmp_path / "modules", "Waiting", gate)
    async with running_app(tmp_path) as app:
        await reach(app, "Waiting", "Ready")
        command = (await ask(app, "/v1/test/waiting", text="x"))[1]["commandId"]
        await until_shown(app, command, "pid")
        for greeting in ("a", "b", "c"):
            await changed(app, "Waiting", "GREETING", greeting)
        gate.touch()
        await until_state(app, command, "completed")
        last = (await ask(app, "/v1/test/waiting", text="x"))[1]["commandId"]
        assert (await until_state(app, last, "completed"))["result"]["greeting"] == "c"


async def test_a_server_that_stops_meanwhile_leaves_no_process(tmp_path: Path) -> None:
    write_waiting(tmp_path / "modules", "Waiting", tmp_path / "gate")
    async with running_app(tmp_path) as app:
        await reach(app, "Waiting", "Ready")
        command = (await ask(app, "/v1/test/waiting", text="x"))[1]["commandId"]
        pid = await until_shown(app, command, "pid")
        await changed(app, "Waiting", "GREETING", "hi")
        await reach(app, "Waiting", "Stopping")
    assert not await asyncio.to_thread(psutil.pid_exists, pid)


async def test_only_an_administrator_changes_settings(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"GREETING": ""})
    keys: dict[str, Any] = {"api_keys": {"k1": "anna", "k2": "bert"}, "administrators": ["anna"]}
    async with running_app(tmp_path, launch_modules=False, **keys) as app:

        async def change(headers: dict[str, str]) -> int:
            return (await ask(app, "/v1/settings/Echo", headers=headers, name="GREETING", value="x"))[0]

        assert await change({}) == 401
        assert await change({"X-API-Key": "k2"}) == 403
        assert not (tmp_path / "data" / "modulesettings.json").exists()
        assert (await ask(app, "/v1/settings/Echo", headers={"X-API-Key": "k2"}))[0] == 200
        assert await change({"X-API-Key": "k1", "Origin": "http://evil.example"}) == 403
        assert await change({"X-API-Key": "k1"}) == 200
        assert saved(tmp_path)["Echo"]["EnvironmentVariables"] == {"GREETING": "x"}
