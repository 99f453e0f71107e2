"""A module whose program is edited while it runs: said, or taken up by itself; its page is simply served anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.app import App
from server.hosting.catalogue import ModuleStatus
from server.hosting.process.code_files import Code
from server.hosting.process.program import Program
from tests.support.hosting_modules import ECHO, eventually, reach, running_app, status_of, write_module

LAUNCH = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System"}
OTHER = ECHO.replace('"success": True', '"success": True, "edition": 2')
PAGE = """<!-- START EXPLORER MARKUP --><p>{}</p><!-- END EXPLORER MARKUP -->
// START EXPLORER SCRIPT
let _MID_a;
// END EXPLORER SCRIPT"""


async def ask(app: App, path: str = "test/echo") -> dict[str, Any]:
    url = f"http://127.0.0.1:{app.host._port}/v1/{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data={"a": "b"}) as answer:
        body: dict[str, Any] = await answer.json()
        return body


def seen(app: App, module_id: str = "Echo") -> ModuleStatus:
    status = status_of(app, module_id)
    assert status is not None
    return status


async def looks(app: App, count: int) -> None:
    """Wait until the folder has been looked at so many times more."""
    wanted = app.host._looks + count
    await eventually(lambda: app.host._looks >= wanted, 60)


@pytest.mark.parametrize("name", ["adapter.py", "helpers/words.py", "requirements.txt"])
async def test_an_edited_program_is_said_and_taken_up_by_a_restart(tmp_path: Path, name: str) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    (folder / "helpers").mkdir()
    (folder / "helpers" / "words.py").write_text("x = 1\n")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        pid = (await ask(app))["pid"]
        (folder / name).write_text(OTHER if name == "adapter.py" else "# nothing\n")
        await eventually(lambda: seen(app).changed == [name], 60)
        assert seen(app).state == "Ready"
        assert f"Changed since it was started: {name}. Restart" in (seen(app).state_reason or "")
        assert any(str(seen(app).state_reason) in entry.entry for entry in app.log.after(0, 1000))
        assert (await ask(app))["pid"] == pid
        await app.host.change_settings({"Echo": {"Restart": "now"}})
        await eventually(lambda: seen(app).state == "Ready" and not seen(app).changed)
        answer = await ask(app)
        assert answer["pid"] != pid
        assert answer.get("edition") == (2 if name == "adapter.py" else None)
        assert seen(app).state_reason is None


@pytest.mark.parametrize("server_says", [True, False])
async def test_an_edited_program_is_taken_up_by_itself_where_a_setting_says_so(
    tmp_path: Path, server_says: bool
) -> None:
    launch = LAUNCH if server_says else {**LAUNCH, "RestartOnChange": True}
    folder = write_module(tmp_path / "modules", "Echo", LaunchSettings=launch)
    write_module(tmp_path / "modules", "Still", LaunchSettings={**LAUNCH, "RestartOnChange": False})
    async with running_app(tmp_path, restart_on_change=server_says) as app:
        await reach(app, "Echo", "Ready")
        await reach(app, "Still", "Ready")
        for edited in ("Echo", "Still"):
            (tmp_path / "modules" / edited / "adapter.py").write_text(OTHER)
        await eventually(lambda: seen(app, "Still").changed == ["adapter.py"], 60)
        await eventually(lambda: any("adapter.py changed" in entry.entry for entry in app.log.after(0, 1000)), 60)
        await reach(app, "Echo", "Ready")
        assert (await ask(app))["edition"] == 2
        assert "edition" not in await ask(app, "test/still")
        assert seen(app).changed == []
        assert folder.is_dir()


async def test_a_program_that_fails_has_another_chance_when_it_is_edited_anywhere(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo", "import helpers.words\n" + ECHO)
    (folder / "helpers").mkdir()
    (folder / "helpers" / "words.py").write_text("raise ValueError('not yet')\n")
    async with running_app(tmp_path) as app:
        await eventually(lambda: seen(app).state in ("Backoff", "Failed") and "not yet" in str(seen(app).state_reason))
        (folder / "helpers" / "words.py").write_text("x = 1\n")
        await reach(app, "Echo", "Ready")


@pytest.mark.slow
async def test_what_a_module_writes_itself_is_neither_said_nor_a_reason(tmp_path: Path) -> None:
    code = ECHO.replace(
        '        return {"success"',
        """        import pathlib
        here = pathlib.Path(__file__).parent
        for name in ("log.txt", "models/m.bin", "models/remote/modeling.py", "__pycache__/x.pyc", "venv/pyvenv.cfg"):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text(str(os.times()))
        return {"success\"""",
    )
    folder = write_module(tmp_path / "modules", "Echo", code)
    async with running_app(tmp_path, restart_on_change=True) as app:
        await reach(app, "Echo", "Ready")
        pids = set()
        for _ in range(5):
            pids.add((await ask(app))["pid"])
            await looks(app, 1)
        assert (folder / "models" / "remote" / "modeling.py").is_file()
        await looks(app, 16)
        assert len(pids | {(await ask(app))["pid"]}) == 1
        assert (seen(app).changed, seen(app).notes) == ([], [])


@pytest.mark.slow
async def test_a_module_that_writes_its_own_program_at_each_start_is_no_loop(tmp_path: Path) -> None:
    code = "import pathlib, time\npathlib.Path(__file__).with_name('made.py').write_text(str(time.time()))\n" + ECHO
    folder = write_module(tmp_path / "modules", "Echo", code)
    (folder / "made.py").write_text("0")
    async with running_app(tmp_path, restart_on_change=True) as app:
        await eventually(lambda: "Changed at each start: made.py" in str(seen(app).state_reason), 90)
        pid = (await ask(app))["pid"]
        await looks(app, 3)
        assert (await ask(app))["pid"] == pid


async def test_another_page_restarts_nothing_and_is_served(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    (folder / "explore.html").write_text(PAGE.format("one"))
    async with running_app(tmp_path, restart_on_change=True) as app:
        await reach(app, "Echo", "Ready")
        pid = (await ask(app))["pid"]
        (folder / "explore.html").write_text(PAGE.format("another"))

        def shown() -> str:
            (config,) = app.host.configs(running_only=True)
            return config.ui_elements.explorer_ui.html

        await eventually(lambda: shown() == "<p>another</p>", 60)
        await looks(app, 2)
        assert (await ask(app))["pid"] == pid
        assert seen(app).changed == []
        (folder / "explore.html").unlink()
        await eventually(lambda: shown() == "", 60)
        assert (await ask(app))["pid"] == pid


@pytest.mark.slow
async def test_a_folder_is_not_looked_at_as_a_whole_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        write_module(tmp_path / "modules", f"Echo{number}")
    async with running_app(tmp_path) as app:
        for number in range(3):
            await reach(app, f"Echo{number}", "Ready")
        read: list[str] = []
        original = Program.read

        def noted(program: Program) -> Code:
            read.append(str(program.folder))
            return original(program)

        monkeypatch.setattr(Program, "read", noted)
        await looks(app, 15)
        assert sorted(read) == [str(tmp_path / "modules" / f"Echo{number}") for number in range(3)]
        await asyncio.to_thread((tmp_path / "modules" / "Echo1" / "adapter.py").write_text, OTHER)
        await eventually(lambda: seen(app, "Echo1").changed == ["adapter.py"], 60)
