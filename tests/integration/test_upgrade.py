"""A data folder that an older commit left behind when it was killed in the middle of its work."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_process import ServerProcess
from tests.upgrades.make_folder import MODULE, write_scribe

FOLDERS = Path(__file__).parents[1] / "upgrades"
NEVER = "1e12"
"""A retention: the folders were made long ago, and nothing in them may have expired meanwhile."""
SHOWN = ("id", "module", "route", "command", "state", "reason", "error", "long", "text", "fields", "result", "events")

Left = tuple[ServerProcess, dict[str, dict[str, Any]]]


def unpack(archive: Path, folder: Path) -> None:
    """Not ``extractall``: some Pythons know no filter for it, and others ask for one."""
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            data = packed.extractfile(member)
            assert data is not None
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.read())


@pytest.fixture(scope="module", params=sorted(path.name for path in FOLDERS.glob("*.tar.gz")))
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """Today's server on such a folder, and what clients of the older one had seen."""
    folder = tmp_path_factory.mktemp("upgrade")
    unpack(FOLDERS / request.param, folder)
    write_scribe(folder / "modules")
    expected = json.loads((folder / "data" / "expected.json").read_text("utf-8"))
    kept = {f"MILLRACE_{name}": NEVER for name in ("REPLY_RETENTION", "RESULT_RETENTION", "QUEUE_TIMEOUT")}
    with ServerProcess(folder, folder / "modules", 0, **kept) as server:
        server.wait_ready(MODULE)
        yield server, expected


def seen(server: ServerProcess, command_id: str) -> dict[str, Any]:
    record = server.get(f"/v1/commands/{command_id}")
    record["events"] = server.get(f"/v1/commands/{command_id}/events")["events"]
    return {name: record[name] for name in SHOWN}


@pytest.mark.parametrize("how", ["write", "fail", "cancelled"])
def test_what_had_ended_is_as_it_was(left: Left, how: str) -> None:
    server, expected = left
    assert seen(server, expected[how]["id"]) == {name: expected[how][name] for name in SHOWN}


def test_what_ran_ends_with_all_that_was_seen_of_it(left: Left) -> None:
    server, expected = left
    before = expected["hold"]
    now = seen(server, before["id"])
    assert (now["state"], now["reason"]) == ("failed", "server_restart")
    assert now["text"] == before["text"]
    assert now["events"][: len(before["events"])] == before["events"]


def test_what_waited_is_done(left: Left) -> None:
    server, expected = left
    assert expected["waiting"]["state"] == "queued"
    server.wait_ended(MODULE, expected["waiting"]["id"])
    now = seen(server, expected["waiting"]["id"])
    assert (now["state"], now["text"]) == ("completed", "some words to write über alles ")


def test_the_users_settings_hold(left: Left) -> None:
    server, _ = left
    command_id = server.post("/v1/test/scribe", how="write", words="a b")["commandId"]
    assert server.wait_ended(MODULE, command_id)["ink"] == "blue"


def test_nothing_was_set_aside(left: Left) -> None:
    server, _ = left
    assert not [line for line in server.output if "set aside" in line]
