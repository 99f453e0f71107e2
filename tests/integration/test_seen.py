"""What can be seen of a running server: its figures, its access log, and the ids of requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.chaos_server import TALKER
from tests.support.server_process import ServerProcess, wait_until

SETTINGS = {
    "MILLRACE_API_KEYS": "ann=key-ann,root=key-root",
    "MILLRACE_ADMINISTRATORS": "root",
    "MILLRACE_ACCESS_LOG": "json",
    "MILLRACE_DRAIN": "0",
}
ANN, ROOT = {"X-API-Key": "key-ann"}, {"X-API-Key": "key-root"}
JSON = {"Content-Type": "application/json"}
Figures = dict[tuple[str, ...], float]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, TALKER.parent, 0, **SETTINGS) as running:
        wait_until("the talker is ready", lambda: ready(running))
        yield running


def ready(server: ServerProcess) -> bool:
    return figures(server).get(("millrace_module_state", "Talker", "Ready")) == 1


def figures(server: ServerProcess) -> Figures:
    """The figures by name and values of labels, in the order of the labels' names."""
    status, body, headers = server.call("/metrics", headers=ROOT)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    families = list(text_string_to_metric_families(body.decode()))
    assert not [family.name for family in families if not family.documentation]
    samples = [one for family in families for one in family.samples]
    return {(one.name, *(one.labels[label] for label in sorted(one.labels))): one.value for one in samples}


def call(server: ServerProcess, path: str, values: dict[str, object], **headers: str) -> dict[str, object]:
    body = json.dumps(values).encode()
    answer: dict[str, object] = json.loads(server.call(path, body, {**JSON, **ANN, **headers})[1])
    return answer


def test_the_figures_say_what_happened_and_not_whose_it_was(server: ServerProcess) -> None:
    for _ in range(3):
        assert call(server, "/v1/talker/echo", {"a": 1})["success"]
    started = call(server, "/v1/talker/count", {"to": 3, "name": "ab", "pause": 0.01})
    refused = call(server, "/v1/talker/count", {"to": 0})
    assert refused["success"] is False
    ended = ("millrace_commands_total", "Talker", "", "completed")
    wait_until("they have ended", lambda: figures(server).get(ended) == 4)
    found = figures(server)
    assert found["millrace_commands_total", "Talker", "module_error", "failed"] == 1
    assert found["millrace_text_pieces_total", "Talker"] >= 1
    assert found["millrace_text_characters_total", "Talker"] == len("ab1 ab2 ab3 ")
    for name, count in (("queued", 5), ("running", 5), ("first_text", 1)):
        assert found[f"millrace_command_{name}_seconds_count", "Talker"] == count
        assert found[f"millrace_command_{name}_seconds_bucket", "+Inf", "Talker"] == count
    assert found["millrace_loop_lag_seconds_count",] > 0
    assert found["millrace_connections",] >= 1
    assert found["millrace_http_requests_total", "200"] >= 5
    assert found["process_resident_memory_bytes",] > 1e6
    text = server.call("/metrics", headers=ROOT)[1].decode()
    assert "ann" not in re.sub(r"# .*", "", text)
    assert str(started["commandId"]) not in text
    assert server.call("/metrics", headers=ANN)[0] == 403
    assert server.call("/metrics")[0] == 401


def test_a_request_is_known_by_one_name_everywhere_and_the_access_log_has_no_secret(server: ServerProcess) -> None:
    path = "/v1/talker/count?to=2&api_key=key-ann&prompt=private"
    status, body, headers = server.call(path, b"{}", {**JSON, **ANN, "X-Request-Id": "mine-1"})
    assert (status, headers["X-Request-Id"]) == (200, "mine-1")
    record = json.loads(server.call(f"/v1/commands/{json.loads(body)['commandId']}", headers=ANN)[1])
    assert record["request_id"] == "mine-1"
    made = {server.call("/healthz", headers={"X-Request-Id": bad})[2]["X-Request-Id"] for bad in ("", "a b", "x" * 200)}
    assert len(made) == 3
    assert all(re.fullmatch(r"[0-9a-f]{24}", one) for one in made)
    assert server.call("/v1/commands/none/events?after=x", headers=ANN)[2]["X-Request-Id"]
    log = server.folder / "data" / "logs" / "access.log"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    (line,) = [line for line in lines if line["request_id"] == "mine-1"]
    shown = {name: line[name] for name in ("address", "owner", "method", "path", "status", "bytes")}
    expected = {"address": "127.0.0.1", "owner": "ann", "method": "POST", "path": "/v1/talker/count", "status": 200}
    assert shown == {**expected, "bytes": len(body)}
    text = log.read_text("utf-8")
    assert not [secret for secret in ("key-ann", "key-root", "private") if secret in text]
    assert log.stat().st_mode & 0o077 == 0
    assert [line["status"] for line in lines if line["path"] == "/v1/commands/none/events"] == [400]
