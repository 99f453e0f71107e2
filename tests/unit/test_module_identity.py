"""Who is believed to be a module's process on the queue protocol; the others see nothing and leave nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.commands.command import CommandState
from server.commands.workers import MAX_STATUS_BYTES, Worker
from tests.support.api_server import ApiServer, Client, running_api

POLL = "/v1/queue/demo_queue"
DEMO = {"moduleId": "Demo"}


def launched(server: ApiServer, module_id: str = "Demo", **values: Any) -> Worker:
    """The worker of a process that the server has started."""
    worker = Worker(
        worker_id=f"launch of {module_id}",
        module_id=module_id,
        queue=f"{module_id.lower()}_queue",
        parallelism=2,
        **{"secret": f"secret of {module_id}", **values},
    )
    server.workers.add(worker)
    return worker


def proof(worker: Worker) -> dict[str, str]:
    return {"X-Module-Secret": worker.secret}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Client]]:
    async with running_api(tmp_path) as (server, client):
        server.workers.remove(server.worker.worker_id)
        yield server, client


async def accepted(client: Client) -> str:
    async with client.post("/v1/demo/long", data={"text": "hush"}) as answer:
        return str((await answer.json())["commandId"])


async def status(client: Client, method: str, path: str, **values: Any) -> int:
    async with client.request(method, path, **values) as answer:
        return answer.status


async def state(server: ApiServer, command_id: str) -> CommandState:
    return (await server.dispatcher.record(command_id)).state


async def test_the_process_that_carries_its_secret_is_served(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    worker = launched(server)
    command_id = await accepted(client)
    async with client.get(POLL, params={"moduleId": "demo"}, headers=proof(worker)) as answer:
        assert (await answer.json())["reqid"] == command_id
    path = f"/v1/queue/{command_id}"
    assert await status(client, "POST", path, json={"success": True}, headers=proof(worker)) == 200
    assert await state(server, command_id) is CommandState.COMPLETED


async def test_a_stranger_sees_nothing_answers_nothing_and_leaves_nothing(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    worker, other = launched(server), launched(server, "Other")
    command_id = await accepted(client)
    known = list(server.workers.all())
    for headers in ({}, {"X-Module-Secret": "guessed"}, {"X-Module-Secret": "grüße"}, proof(other)):
        for name in ("Demo", "demo", "Nobody", "x" * 200):
            assert await status(client, "GET", POLL, params={"moduleId": name}, headers=headers) == 403
        data = {"statusData": '{"a":1}'}
        path = "/v1/queue/updatemodulestatus/Demo"
        assert await status(client, "POST", path, data=data, headers=headers) == 404
    assert await state(server, command_id) is CommandState.QUEUED
    assert server.workers.all() == known
    async with client.get(POLL, params=DEMO, headers=proof(worker)) as answer:
        assert (await answer.json())["reqid"] == command_id
    for headers in ({}, {"X-Module-Secret": "guessed"}, proof(other)):
        path = f"/v1/queue/{command_id}?moduleId=Demo"
        assert await status(client, "POST", path, json={"success": True, "reply": "forged"}, headers=headers) == 403
    assert await state(server, command_id) is CommandState.RUNNING
    assert worker.status_data is None


@pytest.mark.parametrize("answer", [b"[" * 50_000, b'{"a":' * 50_000, b"", b"[]", b"\xff", b'{"a":"\xed\xa0\x80"}'])
async def test_an_answer_that_is_no_object_is_told_so_as_the_protocol_demands(
    api: tuple[ApiServer, Client], answer: bytes
) -> None:
    server, client = api
    worker = launched(server)
    command_id = await accepted(client)
    await status(client, "GET", POLL, params=DEMO, headers=proof(worker))
    async with client.post(f"/v1/queue/{command_id}", data=answer, headers=proof(worker)) as told:
        assert (told.status, await told.read()) == (500, b"")
    assert [entry for entry in server.log.after(0, 100) if entry.level == "error"] == []


@pytest.mark.parametrize(
    ("kind", "body", "wanted"),
    [
        ("application/x-www-form-urlencoded", b"statusData=%7B%22a%22%3A1%7D", 200),
        ("multipart/form-data; boundary=XX", b"nothing of the kind", 400),
        ("multipart/form-data; boundary=XX", b'--XX\r\nContent-Disposition: form-data; name="\x00"\r\n\r\n1', 400),
        ("application/x-www-form-urlencoded", b"statusData=" + b"[" * 50_000, 404),
        ("application/x-www-form-urlencoded", b"statusData=%ED%A0%80", 400),
        ("application/x-www-form-urlencoded", b"", 404),
    ],
)
async def test_a_report_that_cannot_be_read_is_refused(
    api: tuple[ApiServer, Client], kind: str, body: bytes, wanted: int
) -> None:
    server, client = api
    headers = {"Content-Type": kind, **proof(launched(server))}
    assert await status(client, "POST", "/v1/queue/updatemodulestatus/Demo", data=body, headers=headers) == wanted
    assert [entry for entry in server.log.after(0, 100) if entry.level == "error"] == []


async def test_a_page_never_comes_so_far_even_with_a_proof(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    worker = launched(server)
    command_id = await accepted(client)
    for header in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-origin"}):
        headers = {**header, **proof(worker)}
        for method, path in (
            ("GET", POLL),
            ("GET", "/V1//queue/demo_queue/"),
            ("POST", f"/v1/queue/{command_id}"),
            ("POST", "/v1/queue/updatemodulestatus/Demo"),
        ):
            assert await status(client, method, path, params=DEMO, headers=headers) == 403
    assert await state(server, command_id) is CommandState.QUEUED


async def test_a_module_polls_its_own_queue_only(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    other = launched(server, "Other")
    command_id = await accepted(client)
    assert await status(client, "GET", POLL, params={"moduleId": "Other"}, headers=proof(other)) == 403
    assert await state(server, command_id) is CommandState.QUEUED


async def test_who_was_refused_and_what_to_do_is_said_once(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    for name in ("Demo", "Demo", "DEMO", "Other", *(f"n{number}" for number in range(200))):
        assert await status(client, "GET", POLL, params={"moduleId": name}) == 403
    said = [entry.entry for entry in server.log.after(0, 1000) if "was refused" in entry.entry]
    assert len([text for text in said if "'demo'" in text.lower()]) == 1
    assert "external_modules" in said[0]
    assert "modules run Demo" in said[0]
    assert len(said) < 100


async def test_a_process_that_cannot_carry_a_secret_is_known_by_its_end_of_the_connection(
    api: tuple[ApiServer, Client],
) -> None:
    server, client = api
    another = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stdin.read()", stdin=asyncio.subprocess.PIPE
    )
    worker = launched(server, pid=another.pid)
    command_id = await accepted(client)
    assert await status(client, "GET", POLL, params=DEMO) == 403
    await another.communicate(b"")
    worker.pid = os.getpid()
    async with client.get(POLL, params=DEMO) as answer:
        assert (await answer.json())["reqid"] == command_id
    assert await status(client, "POST", f"/v1/queue/{command_id}", json={"success": True}) == 200
    assert await state(server, command_id) is CommandState.COMPLETED


async def test_a_module_that_somebody_starts_by_hand_is_let_in_by_the_settings(tmp_path: Path) -> None:
    async with running_api(tmp_path, external_modules=["DEMO", "Unknown"]) as (server, client):
        server.workers.remove(server.worker.worker_id)
        command_id = await accepted(client)
        for name, queue in (("Other", "other_queue"), ("Unknown", "demo_queue"), ("Demo", "other_queue")):
            assert await status(client, "GET", f"/v1/queue/{queue}", params={"moduleId": name}) == 403
        async with client.get(POLL, params=DEMO) as answer:
            assert (await answer.json())["reqid"] == command_id
        assert [worker.worker_id for worker in server.workers.all()] == ["external:demo"]
        assert await status(client, "POST", f"/v1/queue/{command_id}", json={"success": True}) == 200
        assert await state(server, command_id) is CommandState.COMPLETED


async def test_nobody_is_taken_for_a_module_by_way_of_a_proxy(tmp_path: Path) -> None:
    async with running_api(tmp_path, external_modules=["Demo"]) as (server, client):
        command_id = await accepted(client)
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"):
            assert await status(client, "GET", POLL, params=DEMO, headers={name: "203.0.113.7"}) == 403
        assert await state(server, command_id) is CommandState.QUEUED


async def test_an_answer_that_is_too_long_ends_its_command_alone(tmp_path: Path) -> None:
    async with running_api(tmp_path, max_body_bytes=100_000) as (server, client):
        server.workers.remove(server.worker.worker_id)
        worker = launched(server)
        first, second = await accepted(client), await accepted(client)
        async with client.get(POLL, params=DEMO, headers=proof(worker)) as answer:
            assert (await answer.json())["reqid"] == first
        output = {"success": True, "reply": "x" * 200_000}
        assert await status(client, "POST", f"/v1/queue/{first}", json=output, headers=proof(worker)) == 413
        record = await server.dispatcher.record(first)
        assert (record.state, record.reason) == (CommandState.FAILED, "module_error")
        assert "too long" in (record.error or "")
        async with client.get(POLL, params=DEMO, headers=proof(worker)) as answer:
            assert (await answer.json())["reqid"] == second


async def test_a_reply_that_grows_too_long_ends_its_command(tmp_path: Path) -> None:
    async with running_api(tmp_path, max_body_bytes=100_000) as (server, client):
        server.workers.remove(server.worker.worker_id)
        worker = launched(server)
        command_id = await accepted(client)
        grown = {"success": True, "commandStatus": "running", "commandId": command_id, "reply": "x" * 200_000}
        seen: list[str] = []
        while (await state(server, command_id)) is not CommandState.FAILED:
            async with client.get(POLL, params=DEMO, headers=proof(worker)) as answer:
                request = await answer.json() if answer.status == 200 else {"reqid": "", "reqtype": ""}
            seen.append(request["reqtype"])
            output = (
                {**grown, "reply": ""} if request["reqtype"] == "long" else {**grown, "command": request["reqtype"]}
            )
            await status(client, "POST", f"/v1/queue/{request['reqid']}", json=output, headers=proof(worker))
        assert seen[:2] == ["long", "get_command_status"]
        assert "too long" in ((await server.dispatcher.record(command_id)).error or "")


async def test_a_modules_own_calls_are_those_of_its_commands_owner(tmp_path: Path) -> None:
    keys = {"anna-key": "anna", "bert-key": "bert"}
    async with running_api(tmp_path, api_keys=keys) as (server, client):
        worker = launched(server)

        async def call(owner: str = "", **headers: str) -> str:
            """Submit a long command with a key, or as the module; return its id."""
            sent = {"X-API-Key": f"{owner}-key"} if owner else {**proof(worker), **headers}
            async with client.post("/v1/demo/long", headers=sent) as answer:
                body = await answer.json()
                assert answer.status == 200, body
                return str(body["commandId"])

        async def owner(command_id: str) -> str:
            return (await server.dispatcher.record(command_id)).owner

        assert await owner(await call()) == "module:Demo", "it works on nothing"
        server.dispatcher.set_room(worker, 10, 10)
        first = await call("anna")
        while worker.owners.get(first) is None:
            assert await server.dispatcher.claim(worker, 10)
        await drained(server, worker, keep=first)
        assert await owner(await call()) == "anna"
        second = await call("bert")
        while worker.owners.get(second) is None:
            assert await server.dispatcher.claim(worker, 10)
        assert await owner(await call(**{"X-Module-Command": second})) == "bert"
        assert await owner(await call(**{"X-Module-Command": first})) == "anna"
        assert await owner(await call()) == "module:Demo", "it may be for either"
        assert await owner(await call(**{"X-Module-Command": "of another"})) == "module:Demo"
        for headers in ({}, {"X-Module-Secret": "guessed"}):
            assert await status(client, "POST", "/v1/demo/long", headers=headers) == 401
        data = {"entry": "hello"}
        assert await status(client, "POST", "/v1/log", data=data, headers=proof(worker)) == 200


async def drained(server: ApiServer, worker: Worker, keep: str) -> None:
    """Answer everything that a worker runs but one command."""
    for command_id in [each for each in worker.running if each != keep]:
        await server.dispatcher.finish(worker, command_id, True, msgspec.Raw(b'{"success":true}'))


async def test_a_state_that_is_too_long_is_not_kept(api: tuple[ApiServer, Client]) -> None:
    server, client = api
    worker = launched(server)
    for text, kept in (('{"a":1}', True), ('{"a":"' + "x" * MAX_STATUS_BYTES + '"}', False)):
        path = "/v1/queue/updatemodulestatus/Demo"
        assert await status(client, "POST", path, data={"statusData": text}, headers=proof(worker)) == 200
        assert (bytes(worker.status_data or b"") == text.encode()) is kept
