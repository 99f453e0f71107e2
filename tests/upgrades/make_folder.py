"""Makes a data folder as an older commit leaves it when it is killed in the middle of its work.

Run with the older commit checked out and installed elsewhere: ``python -m tests.upgrades.make_folder CHECKOUT NAME``.
The result, ``tests/upgrades/NAME.tar.gz``, holds the data folder and ``expected.json``: what clients had seen.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.support.hosting_modules import write_module
from tests.support.server_process import ServerProcess, wait_until

HERE = Path(__file__).parent
MODULE = "Scribe"
ROUTE = "test/scribe"
LAUNCH = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "System", "Parallelism": 1}
PROGRAM = """
import os
import threading

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Scribe(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return self.write

    def write(self, data: RequestData) -> JSON:
        how, words = data.get_value("how"), data.get_value("words").split()
        data.reply.update(how=how)
        for word in words:
            data.reply.write(f"{word} ")
        if how == "fail":
            return {"success": False, "error": "The pen broke."}
        pause = threading.Event()
        while how == "hold" and not data.reply.cancelled:
            pause.wait(0.02)
        return {"success": True, "reply": data.reply.text, "ink": os.environ.get("CPAI_MODULE_SCRIBE_INK")}


if __name__ == "__main__":
    Scribe().start_loop()
"""
USER_SETTINGS = {"Modules": {MODULE: {"EnvironmentVariables": {"CPAI_MODULE_SCRIBE_INK": "blue"}}}}


def write_scribe(modules: Path) -> None:
    """Write the module into a modules folder."""
    write_module(modules, MODULE, PROGRAM, LaunchSettings=LAUNCH, RouteMaps=[{"Route": ROUTE, "Command": "write"}])


def main(checkout: Path, name: str) -> None:
    """Make one folder."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_scribe(folder / "modules")
        (folder / "data").mkdir()
        (folder / "data" / "modulesettings.json").write_text(json.dumps(USER_SETTINGS), "utf-8")
        server = ServerProcess(folder, folder / "modules")
        server.root = checkout
        with server:
            server.wait_ready(MODULE)
            expected = {how: _ended(server, how) for how in ("write", "fail")}
            expected["cancelled"] = _cancelled(server)
            expected["hold"] = _begun(server, "hold")
            expected["waiting"] = _record(server, _submit(server, "write"))
            server.kill()
        (folder / "data" / "expected.json").write_text(json.dumps(expected, indent=1), "utf-8")
        with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as archive:
            for path in sorted((folder / "data").rglob("*")):
                if path.is_file() and not {"environments", "logs"} & set(path.relative_to(folder / "data").parts):
                    archive.add(path, path.relative_to(folder))
        with server:
            server.wait_ready(MODULE)  # it takes over what the killed one left behind, and ends it


def _submit(server: ServerProcess, how: str) -> str:
    command_id: str = server.post(f"/v1/{ROUTE}", how=how, words=f"some words to {how} über alles")["commandId"]
    return command_id


def _record(server: ServerProcess, command_id: str) -> dict[str, Any]:
    record: dict[str, Any] = server.get(f"/v1/commands/{command_id}")
    record["events"] = server.get(f"/v1/commands/{command_id}/events")["events"]
    return record


def _ended(server: ServerProcess, how: str) -> dict[str, Any]:
    command_id = _submit(server, how)
    server.wait_ended(MODULE, command_id)
    return _record(server, command_id)


def _begun(server: ServerProcess, how: str) -> dict[str, Any]:
    command_id = _submit(server, how)
    wait_until("all words are there", lambda: "alles" in (_record(server, command_id)["text"] or ""))
    return _record(server, command_id)


def _cancelled(server: ServerProcess) -> dict[str, Any]:
    command_id = str(_begun(server, "hold")["id"])
    server.post(f"/v1/commands/{command_id}/cancel")
    server.wait_ended(MODULE, command_id)
    return _record(server, command_id)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
