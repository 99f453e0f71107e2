"""Modules that bring no SDK of ours, and no Python that would look into our folder: known by their connection."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.integration.test_module_calls import call
from tests.support.hosting_modules import reach, running_app, write_module

POLLS = """
import json
import os
import sys
import urllib.request

assert "sitecustomize" not in sys.modules or "module_site" not in sys.modules["sitecustomize"].__file__
BASE = f"http://localhost:{os.environ['CPAI_PORT']}/v1/queue"
while True:
    with urllib.request.urlopen(f"{BASE}/{os.environ['CPAI_MODULE_QUEUENAME']}?moduleId=Echo", timeout=15) as answered:
        body = answered.read()
    if body:
        answer = json.dumps({"success": True, "pid": os.getpid()}).encode()
        urllib.request.urlopen(f"{BASE}/{json.loads(body)['reqid']}", answer, timeout=15).close()
"""


@pytest.mark.skipif(os.name == "nt", reason="the command is split as a shell does")
async def test_a_process_that_carries_no_secret_is_served(tmp_path: Path) -> None:
    launch = {
        "FilePath": "adapter.py",
        "Command": f"{sys.executable} -I",
        "RuntimeLocation": "System",
        "Sdk": "Published",
    }
    write_module(tmp_path / "modules", "Echo", POLLS, LaunchSettings=launch)
    async with running_app(tmp_path) as app:
        await reach(app, "Echo", "Ready")
        answer = await call(app, "/v1/test/echo", "")
        worker = app.workers.of_module("Echo")
        assert worker is not None
        assert answer["pid"] == worker.pid
        assert [entry.entry for entry in app.log.after(0, 1000) if "was refused" in entry.entry] == []
