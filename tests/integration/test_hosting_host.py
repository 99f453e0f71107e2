"""The life of modules in a server that runs in the test's own process, where blocking calls are caught."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from server.app import App
from tests.support.hosting_modules import eventually, reach, running_app, status_of, write_module


async def call(app: App, path: str, **values: str) -> dict[str, Any]:
    """POST a form to the server and return its JSON."""
    port = app.host._port
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}{path}", data=values or {"a": "b"}) as answer,
    ):
        body: dict[str, Any] = await answer.json()
        return body


async def get(app: App, path: str) -> dict[str, Any]:
    port = app.host._port
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.headers["Content-Length"]
        body: dict[str, Any] = await answer.json()
        return body


async def test_a_module_is_found_started_called_and_stopped(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        status = await reach(app, "Echo", "Ready")
        assert status.status == "Started"
        assert status.state_reason is None
        answer = await call(app, "/v1/test/echo")
        assert answer["success"]
        pid = answer["pid"]
        await eventually(lambda: getattr(status_of(app, "Echo"), "request_count", 0) == 1)
    assert not await asyncio.to_thread(psutil.pid_exists, pid)


async def test_the_lists(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    page = (
        "<!-- START EXPLORER MARKUP --><p id='_MID_p'></p><!-- END EXPLORER MARKUP -->"
        "// START EXPLORER SCRIPT\nlet _MID_a;\n// END EXPLORER SCRIPT"
    )
    (folder / "explore.html").write_text(page)
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        statuses = await get(app, "/v1/module/list/status")
        assert statuses["success"] is True
        assert statuses["code"] == 200
        assert statuses["hostname"]
        assert [entry["moduleId"] for entry in statuses["statuses"]] == ["Echo"]
        for path in ("/v1/status/modules/list", "/v1/status/analysis/list", "/v1/server/status/analysis/list/"):
            assert (await get(app, path))["statuses"][0]["state"] in ("Ready", "Busy")
        running = await get(app, "/v1/module/list/running/")
        assert running["modules"][0]["uiElements"]["explorerUI"]["html"] == "<p id='Echo_p'></p>"
        assert (await get(app, "/v1/Module/List/explorer-html"))["uiInsertions"][0]["script"] == "let Echo_a;"
        installed = await get(app, "/v1/module/list/installed")
        assert installed["modules"][0]["status"] == "Installed"
        assert (await get(app, "/v1/module/list/"))["modules"][0]["moduleId"] == "Echo"


async def test_a_page_with_an_endless_name_is_not_there(tmp_path: Path) -> None:
    async with (
        running_app(tmp_path) as app,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{app.host._port}/assets/{'a' * 300}") as answer,
    ):
        assert answer.status == 404
        assert (await answer.json())["error"] == "There is no file with so long a name."


async def test_without_modules_the_lists_say_so(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        assert (await get(app, "/v1/module/list/status"))["statuses"] == []
        for path in ("/v1/module/list/installed", "/v1/module/list/running"):
            answer = await get(app, path)
            assert answer["success"] is False
            assert answer["error"] == "No backend modules have been registered yet"


async def test_a_killed_process_comes_back(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        pid = (await call(app, "/v1/test/echo"))["pid"]
        await asyncio.to_thread(psutil.Process(pid).kill)
        status = await reach(app, "Echo", "Backoff")
        assert status.status == "Restarting"
        assert "SIGKILL" in (status.state_reason or "")
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["pid"] != pid
        after = status_of(app, "Echo")
        assert after is not None
        assert after.request_count == 2


async def gone(app: App, worker_id: str) -> None:
    await eventually(lambda: app.workers.get(worker_id) is None)


async def test_a_deliberate_kill_is_no_crash(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        for _ in range(6):
            pid = (await call(app, "/v1/test/echo"))["pid"]
            worker = app.workers.of_module("Echo")
            assert worker is not None
            await app.host.kill_worker(worker.worker_id)
            await gone(app, worker.worker_id)
            await reach(app, "Echo", "Ready")
            assert (await call(app, "/v1/test/echo"))["pid"] != pid


async def test_a_dropped_in_module_is_started_and_a_removed_one_stopped(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        write_module(tmp_path / "elsewhere", "Echo")
        await asyncio.to_thread(shutil.copytree, tmp_path / "elsewhere" / "Echo", tmp_path / "modules" / "Echo")
        await reach(app, "Echo", "Ready")
        pid = (await call(app, "/v1/test/echo"))["pid"]
        await asyncio.to_thread(shutil.rmtree, tmp_path / "modules" / "Echo")
        await eventually(lambda: status_of(app, "Echo") is None)
        await eventually(lambda: app.routes.match("test/echo") is None)
        assert (await call(app, "/v1/test/echo"))["success"] is False
        await eventually(lambda: app.workers.of_module("Echo") is None)
        assert not await asyncio.to_thread(psutil.pid_exists, pid)


async def test_changed_settings_are_taken_up(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["greeting"] == ""
        write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"Greeting": "hello"})
        await eventually(lambda: any("have changed" in entry.entry for entry in app.log.after(0, 1000)))
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["greeting"] == "hello"


async def test_the_users_own_settings_win(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo", EnvironmentVariables={"Greeting": "module"})
    (tmp_path / "data").mkdir()
    user = {"Modules": {"echo": {"EnvironmentVariables": {"greeting": "user"}}}}
    (tmp_path / "data" / "modulesettings.json").write_text(json.dumps(user))
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["greeting"] == "user"


async def test_a_mended_file_brings_the_module_back_and_a_broken_one_takes_it_away(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    good = (folder / "modulesettings.json").read_text()
    (folder / "modulesettings.json").write_text(good.replace(":", "", 1))
    async with running_app(tmp_path) as app:
        status = await reach(app, "Echo", "Failed")
        assert "line 2" in (status.state_reason or "")
        (folder / "modulesettings.json").write_text(good)
        await reach(app, "Echo", "Ready")
        (folder / "modulesettings.json").write_text(good + "}")
        await reach(app, "Echo", "Failed")
        answer = await call(app, "/v1/test/echo")
        assert answer["success"] is False
        assert "modulesettings.json" in answer["error"]


async def test_a_failed_module_gets_another_chance_when_its_folder_changes(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    code = (folder / "adapter.py").read_text()
    (folder / "adapter.py").unlink()
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Failed")
        await asyncio.sleep(0)
        (folder / "adapter.py").write_text(code)
        await reach(app, "Echo", "Ready")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"AutoStart": False}, "AutoStart"),
        ({"FilePath": "gone.py"}, "gone.py"),
    ],
)
async def test_commands_for_a_module_that_does_not_run_are_refused_at_once(
    tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System", **settings}
    write_module(tmp_path / "modules", "Echo", LaunchSettings=launch)
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Stopped", "Failed")
        answer = await asyncio.wait_for(call(app, "/v1/test/echo"), 30)
        assert answer["success"] is False
        assert expected in answer["error"]


async def test_a_queue_with_one_living_module_of_two_stays_open(tmp_path: Path) -> None:
    launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System", "Queue": "shared_queue"}
    write_module(tmp_path / "modules", "Echo", LaunchSettings=launch)
    write_module(tmp_path / "modules", "Twin", LaunchSettings={**launch, "FilePath": "gone.py"})
    async with running_app(tmp_path) as app:
        await reach(app, "Twin", "Failed")
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["success"]


async def test_of_two_folders_with_one_id_the_second_is_refused(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    await asyncio.to_thread(shutil.copytree, tmp_path / "modules" / "Echo", tmp_path / "modules" / "Echo-copy")
    async with running_app(tmp_path) as app:
        status = await reach(app, "Echo-copy", "Failed")
        assert "already taken" in (status.state_reason or "")
        await reach(app, "Echo", "Ready")
        assert (await call(app, "/v1/test/echo"))["success"]


async def test_a_server_that_launches_nothing_lists_the_modules_and_takes_their_commands(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path, launch_modules=False, external_modules=["echo"]) as app:
        status = status_of(app, "Echo")
        assert status is not None
        assert (status.state, status.status) == ("Stopped", "NotStarted")
        waiting = asyncio.create_task(call(app, "/v1/test/echo"))
        port = app.host._port
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/v1/queue/echo_queue?moduleId=Echo") as taken:
                request = await taken.json()
            assert (await reach(app, "Echo", "Ready", "Busy")).status == "Started"
            answer = {"success": True, "by": "hand"}
            async with session.post(f"http://127.0.0.1:{port}/v1/queue/{request['reqid']}", json=answer) as done:
                assert done.status == 200
        assert (await waiting)["by"] == "hand"
