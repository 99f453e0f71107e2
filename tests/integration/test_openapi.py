"""The document of the API names every route, and what the server answers keeps to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from server.api.native.openapi import OPERATIONS, document
from server.app import App
from server.commands.routing import Route
from server.config import ServerSettings
from server.http.audience import declared
from tests.support.chaos_server import TALKER
from tests.support.server_process import ServerProcess

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
DIES = "/v1/talker/die"
DEMANDED = "/v1/queue/{command_id}"
"""Where the queue protocol demands a 500."""


def test_the_document_has_every_route_and_no_other(tmp_path: Path) -> None:
    app = App(ServerSettings(data_dir=tmp_path))
    route = Route(path="demo/it", module_id="Demo", module_name="Demo", queue="demo_queue", command="it")
    app.routes.set_module("Demo", [route])
    declarations = declared(app.web)
    paths = document(declarations, app.routes)["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    own = {(one.method, one.path) for one in declarations if "{module_route" not in one.path}
    demo = {("POST", f"/v1/{path}") for path in ("demo/it", "Demo/get_command_status", "Demo/cancel_command")}
    assert described == own | demo
    assert {key for key in own if key[0] != "HEAD"} == OPERATIONS.keys()


def test_what_the_server_answers_keeps_to_the_document(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, TALKER.parent, MILLRACE_DRAIN="0") as server:
        server.wait_ready("Talker")
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json"]
        command += ["--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1"]
        command += ["--exclude-path", DIES, "--exclude-path", DEMANDED, "--max-time", "25", "--no-color"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
        assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
        assert re.search(r"[0-9]+ passed|No issues found", ran.stdout), ran.stdout[-2000:]
        server.wait_ready("Talker")
        log = (server.folder / "data" / "logs" / "millrace.log").read_text("utf-8")
    assert "Traceback" not in log + "".join(server.output)
    assert " failed: " not in log
