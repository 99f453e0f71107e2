"""What a server cannot look at for a moment changes nothing: modules, environments and processes stay."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.hosting import preparation
from server.hosting.process import memory_watch, process_tree
from server.hosting.process.adopted_process import AdoptedProcess
from server.hosting.process.memory_watch import over_limit
from server.hosting.process.process_tree import carriers, identify, is_alive
from tests.support.hosting_modules import eventually, reach, running_app, write_module
from tests.support.unreadable import no_descriptors, unreadable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the errors are made with what Linux has")


async def test_modules_run_on_while_their_folder_cannot_be_listed(tmp_path: Path) -> None:
    write_module(tmp_path / "modules", "Echo")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        starts = app.host._modules[tmp_path / "modules" / "Echo"].standing.starts

        def told(text: str) -> int:
            return sum(text in entry.entry for entry in app.log.after(0, 1000))

        with no_descriptors():
            await eventually(lambda: told(f"{tmp_path / 'modules'} cannot be read: Too many open files") == 1)
            for _ in range(3):
                assert [found.module_id for found in await app.host._scan()] == ["Echo"]
        await eventually(lambda: told(f"{tmp_path / 'modules'} can be read again") == 1)
        status = await reach(app, "Echo", "Ready")
        assert told("cannot be read: Too many open files") == 1
        assert not told("was removed")
        assert status.state == "Ready"
        assert app.host._modules[tmp_path / "modules" / "Echo"].standing.starts == starts


async def test_what_has_been_installed_is_not_installed_again_because_its_note_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "PREVENTED_SECONDS", 0.05)
    folder = write_module(tmp_path / "modules", "Echo")
    (folder / "install.sh").write_text("echo once more >> ran.txt\n")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
    (note,) = (tmp_path / "data" / "environments" / ".scripts").glob("*.stamp")
    with unreadable(note):
        async with running_app(tmp_path) as app:
            status = await reach(app, "Echo", "Backoff")
            assert "cannot be looked at: [Errno 5] Input/output error" in (status.state_reason or "")
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
    assert (folder / "ran.txt").read_text() == "once more\n"


async def test_a_module_begins_by_itself_when_it_can_be_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "PREVENTED_SECONDS", 0.05)
    folder = write_module(tmp_path / "modules", "Echo")
    (folder / "install.sh").write_text("echo installed\n")
    note = tmp_path / "data" / "environments" / ".scripts" / "millrace-Echo.install.stamp"
    note.parent.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(unreadable(note))
        async with running_app(tmp_path) as app:
            await reach(app, "Echo", "Backoff")
            stack.close()
            await reach(app, "Echo", "Ready")


async def test_a_process_that_cannot_be_looked_at_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "LOOK_SECONDS", 0.05)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        identity = await asyncio.to_thread(identify, process.pid)
        assert identity is not None
        adopted = AdoptedProcess(identity, "")
        with no_descriptors():
            with pytest.raises(OSError, match="Too many open files"):
                await asyncio.to_thread(is_alive, identity)
            assert not await adopted.wait_for(0.01)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(over_limit(process.pid, 0), 0.01)
        assert await over_limit(process.pid, 0) > 0
    finally:
        process.kill()
        await process.wait()
    assert await adopted.wait() == -1


def test_processes_are_looked_for_again_when_there_were_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"MILLRACE_LAUNCH_ID": "looked-for"}
    with contextlib.ExitStack() as shortage:
        monkeypatch.setattr(process_tree, "time", SimpleNamespace(sleep=lambda _: shortage.close()))
        process = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"], env=environment, stdin=-1, stdout=-1
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            shortage.enter_context(no_descriptors())
            assert [found.pid for found in carriers({"looked-for"})] == [process.pid]
            process.kill()
