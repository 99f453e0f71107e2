"""A module that outlived its server, edited meanwhile: the next server takes it over and says that it has changed."""

from __future__ import annotations

from pathlib import Path

from tests.support.hosting_modules import ECHO, write_module
from tests.support.server_process import ServerProcess, wait_until


def test_what_was_edited_while_no_server_ran_is_noticed(tmp_path: Path) -> None:
    folder = write_module(tmp_path / "modules", "Echo")
    write_module(tmp_path / "modules", "Same")
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        pids = {}
        for module_id in ("Echo", "Same"):
            server.wait_ready(module_id)
            pids[module_id] = server.post(f"/v1/test/{module_id.lower()}", a="b")["pid"]
        server.kill()
        (folder / "adapter.py").write_text(ECHO + "\n# edited\n")
        server.start()
        for module_id in ("Echo", "Same"):
            server.wait_ready(module_id)
        entry = wait_until("it is said", lambda: entry if (entry := server.module("Echo"))["changed"] else None, 60)
        assert entry["changed"] == ["adapter.py"]
        assert "Changed since it was started: adapter.py" in entry["stateReason"]
        assert server.module("Same")["changed"] == []
        for module_id, pid in pids.items():
            assert server.post(f"/v1/test/{module_id.lower()}", a="b")["pid"] == pid
