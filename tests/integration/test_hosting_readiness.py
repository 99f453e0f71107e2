"""A module says itself whether it can work; its state shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from server.hosting.catalogue import ModuleStatus
from tests.support.hosting_modules import eventually, reach, running_app, status_of, write_module

# Reads its obstacle from a file: nothing, or "passing" and a reason, or a reason.
CODE = """
import threading, time

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData

NOTE = {note!r}


class Moody(ModuleRunner):
    def initialise(self) -> None:
        self.follow()
        threading.Thread(target=self.forever, daemon=True).start()

    def follow(self) -> None:
        text = open(NOTE).read()
        if not text:
            self.report_ready()
        else:
            self.report_not_ready(text.removeprefix("passing "), passing=text.startswith("passing "))

    def forever(self) -> None:
        while True:
            time.sleep(0.05)
            self.follow()

    def process(self, data: RequestData) -> JSON:
        return {{"success": True}}


if __name__ == "__main__":
    Moody().start_loop()
"""


async def test_the_state_follows_what_the_module_says(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text("passing half of it is here")
    write_module(tmp_path / "modules", "Moody", CODE.format(note=str(note)))
    async with running_app(tmp_path) as app:

        def shows(state: str, reason: str | None) -> bool:
            status = status_of(app, "Moody")
            return status is not None and (status.state, status.state_reason) == (state, reason)

        await eventually(lambda: shows("Starting", "half of it is here"))
        await asyncio.to_thread(note.write_text, "passing all but one are here")
        await eventually(lambda: shows("Starting", "all but one are here"))
        await asyncio.to_thread(note.write_text, "there is no model; get one")
        status = await reach(app, "Moody", "NotReady")
        assert (status.state_reason, status.status) == ("there is no model; get one", "Starting")
        await asyncio.to_thread(note.write_text, "")
        assert (await reach(app, "Moody", "Ready")).state_reason is None
        await asyncio.to_thread(note.write_text, "the model is gone")
        assert (await reach(app, "Moody", "NotReady")).state_reason == "the model is gone"


async def test_an_edited_program_is_noticed_and_not_forgotten_whatever_the_module_says(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text("there is no model; get one")
    folder = write_module(tmp_path / "modules", "Moody", CODE.format(note=str(note)))
    async with running_app(tmp_path) as app:

        def seen() -> ModuleStatus:
            status = status_of(app, "Moody")
            assert status is not None
            return status

        await reach(app, "Moody", "NotReady")
        await asyncio.to_thread((folder / "adapter.py").write_text, CODE.format(note=str(note)) + "# edited")
        await eventually(lambda: seen().changed == ["adapter.py"], 60)
        for text, state in (("passing half of it is here", "Starting"), ("", "Ready")):
            await asyncio.to_thread(note.write_text, text)
            assert (await reach(app, "Moody", state)).changed == ["adapter.py"]
