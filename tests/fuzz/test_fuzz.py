"""A fixed number of fuzzed inputs with a fixed seed; ``python -m tests.fuzz`` goes on for as long as one likes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fuzz.__main__ import table
from tests.fuzz.bodies import body
from tests.fuzz.chance import Chance
from tests.fuzz.findings import Finding, Findings, fault_of, load, troubles_in
from tests.fuzz.requests import Requests
from tests.fuzz.run import Run, commit, routes
from tests.fuzz.wire import Answer

SEED = 9
ROUNDS = 2
INPUTS = {"requests": 1000, "malformed": 600, "socket": 400, "queue": 100, "channel": 500, "records": 3}
"""Of each way in each round, twice: on a server without keys and on one with them."""
MEMORY = 64 * 1024 * 1024
"""How much a server may gain after its first round; what is on its way is part of it."""
DESCRIPTORS = 24


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_is_sent_breaks_anything(tmp_path: Path) -> None:
    said: list[str] = []
    run = Run(SEED, said.append)
    asyncio.run(run.rounds(tmp_path, lambda number: number < ROUNDS, INPUTS))
    places = [found.save(Path("data") / "fuzz", commit(), SEED) for found in run.findings.all]
    assert places == [], "\n".join(said)
    for sizes in run.sizes.values():
        assert sizes[-1].memory - sizes[0].memory < MEMORY, table(run, commit(), 1)
        assert sizes[-1].descriptors - sizes[0].descriptors < DESCRIPTORS, table(run, commit(), 1)
    for name, count in INPUTS.items():
        assert run.counts[name] >= (2 * ROUNDS * count if name != "records" else 1)


def test_the_same_seed_makes_the_same_inputs() -> None:
    def some(seed: int) -> list[bytes]:
        requests = Requests([("GET", "/v1/commands/{command_id}")], {})
        return [requests.make(Chance(f"{seed} {number}")) for number in range(50)]

    assert some(1) == some(1)
    assert some(1) != some(2)


def test_every_route_is_among_those_that_are_fuzzed() -> None:
    found = routes()
    for route in (("POST", "/v1/commands/{command_id}/cancel"), ("GET", "/v1/channel"), ("GET", "/healthz")):
        assert route in found
    requests = Requests(found, {})
    sent = b"".join(requests.make(Chance(f"routes {number}")) for number in range(6000)).lower()
    for _, path in found:
        assert path.partition("{")[0].encode() in sent, path


def test_a_body_in_parts_belongs_to_its_boundary() -> None:
    kinds = [dict(body(Chance(f"kind {number}"))[0]).get(b"Content-Type", b"") for number in range(400)]
    for kind in (b"multipart/form-data", b"application/json", b"application/x-www-form-urlencoded"):
        assert sum(one.startswith(kind) for one in kinds) > 20


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    ("request_line", "answer", "wrong"),
    [
        (b"GET /v1/commands", Answer(500), True),
        (b"GET /v1/commands", Answer(503), False),
        (b"GET /v1/commands", Answer(502), True),
        (b"POST /v1/queue/x", Answer(500), False),
        (b"POST /V1/%51ueue/x?a=b", Answer(500), False),
        (b"POST /v1/queue/x", Answer(500, b"", b"{}"), True),
        (b"GET /v1/queue/x", Answer(500), True),
        (b"GET /v1/commands", Answer(200, JSON, b'{"a"', True), True),
        (b"GET /v1/commands", Answer(200, JSON, b'{"a"'), False),
        (b"GET /v1/commands", Answer(0), False),
    ],
)
def test_only_what_is_wrong_is_found(request_line: bytes, answer: Answer, wrong: bool) -> None:
    assert bool(fault_of(request_line, answer)) is wrong


def test_each_kind_of_trouble_in_a_log_is_found_once() -> None:
    trace = ["Traceback (most recent call last):\n", '  File "/x/server/a.py", line 5, in f\n', "KeyError: 'a'\n"]
    found = troubles_in(["17:00:00 I fine\n", *trace, "17:00:01 I fine\n", *trace])
    assert list(found) == ["KeyError a.py:5"]
    assert "fine" in found["KeyError a.py:5"]
    (kind,) = troubles_in(["17:00:00 E Server: GET /v1/x failed: KeyError('b')\n"])
    assert kind == "E Server: GET /v1/x failed: KeyError("
    assert troubles_in(["17:00:00 W Server: A request from 127.0.0.1 cannot be read\n"]) == {}


def test_a_finding_can_be_kept_and_read_again(tmp_path: Path) -> None:
    finding = Finding("status 500 for get", "requests", "told", 7, [b"\x00\xff", b""])
    findings = Findings()
    assert findings.add(finding)
    assert not findings.add(Finding("status 500 for get", "requests", "again", 9))
    assert load(finding.save(tmp_path, "abc", 1)) == finding
