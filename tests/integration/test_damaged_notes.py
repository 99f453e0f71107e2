"""Notes in the data folder that are damaged in whatever way keep no server from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess

NOTES = ("keys.json", "sessions.json", "routes.json", "server.json", "launched/1.json", "started_by_hand/1.json")


@pytest.mark.parametrize(
    "damage", [b"{", b'{"a":1}\xff', b'{"\xff\xfe":[]}', b'[{"a\xff":1}]', b'{"a":' + b"[" * 100_000]
)
def test_a_server_starts_whatever_its_notes_say(tmp_path: Path, damage: bytes) -> None:
    for name in NOTES:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage)
    with ServerProcess(tmp_path, tmp_path / "modules", MILLRACE_API_KEYS="alice=alices-key-0123456789") as server:
        assert server.call("/v1/commands", headers={"X-API-Key": "alices-key-0123456789"})[0] == 200
        assert server.call("/v1/commands")[0] == 401
        output = "".join(server.output)
    assert "keys.json cannot be read" in output
    assert "Traceback" not in output
