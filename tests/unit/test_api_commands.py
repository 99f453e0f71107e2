"""Starting, polling, following, cancelling: what clients see of a command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.commands.command import new_command_id
from server.commands.errors import ModuleUnavailableError
from server.commands.reply_buffer import EventKind, NewEvent
from tests.support.api_server import ApiServer, Client, running_api

Api = tuple[ApiServer, Client]
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, queue_length=3) as running:
        yield running


async def post(client: Client, path: str, **values: Any) -> Any:
    async with client.post(path, data=values) as answer:
        return await answer.json()


async def status(client: Client, command_id: str) -> Any:
    return await post(client, "/v1/Demo/get_command_status", commandId=command_id)


async def cancel(client: Client, command_id: str) -> Any:
    return await post(client, "/v1/demo/cancel_command", commandId=command_id)


async def start(api: ApiServer, client: Client) -> tuple[Any, str]:
    """Start a long command; return its claim and its id."""
    posting = asyncio.create_task(post(client, "/v1/demo/long", prompt="hi"))
    claim = await api.claim()
    await api.started_long(claim, "GPU")
    body = await posting
    assert (body["commandStatus"], body["commandId"]) == ("running", claim.command.command_id)
    assert (body["success"], body["moduleId"], body["inferenceDevice"]) == (True, "Demo", "GPU")
    return claim, claim.command.command_id


async def write(api: ApiServer, command_id: str, *texts: str) -> None:
    for text in texts:
        await api.dispatcher.append(command_id, [NewEvent(EventKind.DELTA, text)])


async def test_a_long_reply_grows_and_completes(api: Api) -> None:
    server, client = api
    claim, command_id = await start(server, client)
    assert "reply" not in await status(client, command_id)
    await write(server, command_id, "Hel")
    body = await status(client, command_id)
    assert (body["reply"], body["commandStatus"], body["success"]) == ("Hel", "running", True)
    await write(server, command_id, "lo")
    await server.dispatcher.append(command_id, [NewEvent(EventKind.FIELDS, {"step": 2})])
    body = await status(client, command_id)
    assert (body["reply"], body["step"]) == ("Hello", 2)
    await server.finish(claim, reply="Hello", stop_reason="length", processMs=5)
    for _ in range(2):
        body = await status(client, command_id)
        assert (body["commandStatus"], body["reply"], body["stop_reason"]) == ("completed", "Hello", "length")
        assert (body["error"], body["processMs"], body["code"]) == (None, 5, 200)


async def test_the_state_is_the_true_one_whatever_the_module_calls_so(api: Api) -> None:
    server, client = api
    claim, command_id = await start(server, client)
    await server.dispatcher.append(command_id, [NewEvent(EventKind.FIELDS, {"state": "resting", "step": 1})])
    body = await status(client, command_id)
    assert (body["state"], body["commandStatus"], body["step"]) == ("running", "running", 1)
    await server.finish(claim, reply="whole", state="tired", commandStatus="odd")
    body = await status(client, command_id)
    assert (body["state"], body["commandStatus"], body["reply"]) == ("completed", "completed", "whole")


async def test_a_command_in_a_busy_queue_is_accepted_at_once_with_its_position(api: Api) -> None:
    server, client = api
    await start(server, client)
    bodies = [await post(client, "/v1/demo/long", prompt=str(n)) for n in range(2)]
    assert [body["commandStatus"] for body in bodies] == ["running", "running"]
    assert [body["state"] for body in bodies] == ["queued", "queued"]
    polls = [await status(client, body["commandId"]) for body in bodies]
    assert [poll["queuePosition"] for poll in polls] == [0, 1]
    assert bodies[0]["commandId"] not in json.dumps([bodies[1], polls[1]])


async def test_cancel_while_queued_running_and_ended(api: Api) -> None:
    server, client = api
    claim, running = await start(server, client)
    queued = (await post(client, "/v1/demo/long", prompt="2"))["commandId"]
    for _ in range(2):
        body = await cancel(client, queued)
        assert (body["success"], body["commandStatus"], body["state"]) == (True, "cancelled", "cancelled")
    poll = await status(client, queued)
    assert (poll["commandStatus"], poll["stop_reason"], poll["success"]) == ("completed", "cancelled", True)
    await write(server, running, "par")
    assert (await cancel(client, running))["state"] == "cancelling"
    control = await server.claim()
    assert (control.command.name, control.payload.values[0].value) == ("cancel_command", [running])
    assert (await status(client, running))["state"] == "cancelling"
    await server.finish(claim, reply="par", stop_reason="cancelled")
    poll = await status(client, running)
    assert (poll["commandStatus"], poll["stop_reason"], poll["reply"]) == ("completed", "cancelled", "par")
    assert (await cancel(client, running))["state"] == "cancelled"
    claim, ended = await start(server, client)
    await server.finish(claim, reply="whole")
    assert (await cancel(client, ended))["commandStatus"] == "completed"
    assert (await status(client, ended))["reply"] == "whole"
    _, following = await start(server, client)
    assert (await status(client, following))["state"] == "running"


async def test_a_worker_that_ignores_a_cancel_is_given_up(tmp_path: Path) -> None:
    async with running_api(tmp_path, cancel_deadline=0.05) as (server, client):
        overdue: list[str] = []
        given_up = asyncio.Event()

        async def on_overdue(worker_id: str) -> None:
            overdue.append(worker_id)
            await server.dispatcher.worker_gone(server.worker, "killed", deliberate=True)
            given_up.set()

        server.dispatcher.on_overdue = on_overdue
        _, command_id = await start(server, client)
        _, sibling = await start(server, client)
        await cancel(client, command_id)
        await asyncio.wait_for(given_up.wait(), 60)
        assert overdue == ["w"]
        assert (await status(client, command_id))["state"] == "cancelled"
        assert (await status(client, sibling))["state"] == "queued", "its innocent sibling runs again"


async def test_errors_of_a_poll_are_clear(api: Api) -> None:
    _, client = api
    assert (await post(client, "/v1/Demo/get_command_status"))["error"] == "No command ID provided"
    for command_id in ("nonsense", new_command_id()):
        for body in (await status(client, command_id), await cancel(client, command_id)):
            assert body["success"] is False
            assert body["commandStatus"] == "unknown"
            assert command_id in body["error"]


async def test_a_failed_command_says_why(api: Api) -> None:
    server, client = api
    claim, command_id = await start(server, client)
    await server.finish(claim, success=False, error="The model is missing")
    body = await status(client, command_id)
    assert (body["commandStatus"], body["success"], body["code"]) == ("completed", False, 500)
    assert (body["error"], body["reason"]) == ("The model is missing", "module_error")


async def test_a_command_whose_module_dies_is_redelivered_unseen_or_fails(api: Api) -> None:
    server, client = api
    _, silent = await start(server, client)
    _, heard = await start(server, client)
    await write(server, heard, "some")
    await server.dispatcher.worker_gone(server.worker, "It was killed by signal 9.")
    body = await status(client, heard)
    assert (body["success"], body["reason"], body["reply"]) == (False, "module_lost", "some")
    assert "signal 9" in body["error"]
    assert (await status(client, silent))["state"] == "queued"
    await server.claim()
    await server.dispatcher.worker_gone(server.worker, "Again.")
    assert (await status(client, silent))["reason"] == "poison"


async def test_a_quick_command_that_is_not_answered_times_out(tmp_path: Path) -> None:
    async with running_api(tmp_path, response_timeout=0.05) as (server, client):
        body = await post(client, "/v1/demo/quick")
        assert body["success"] is False
        assert "timed out" in body["error"]
        assert await server.broker.records() == []


async def test_a_full_queue_and_a_module_that_does_not_run_are_refused_at_once(api: Api) -> None:
    server, client = api
    await start(server, client)
    for _ in range(3):
        await post(client, "/v1/demo/long")
    assert "is full" in (await post(client, "/v1/demo/long"))["error"]
    async with client.post("/v1/demo/long", headers=STREAM) as answer:
        assert (answer.status, answer.headers["Retry-After"].isdigit()) == (429, True)
    server.dispatcher.close_queue("demo_queue", ModuleUnavailableError("Demo", "it keeps crashing"))
    assert "it keeps crashing" in (await post(client, "/v1/demo/quick"))["error"]
    server.dispatcher.open_queue("demo_queue")


async def test_a_client_that_goes_away_cancels_its_quick_command(api: Api) -> None:
    server, client = api
    posting = asyncio.create_task(post(client, "/v1/demo/quick"))
    claim = await server.claim()
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    control = await server.claim()
    assert (control.command.name, control.payload.values[0].value) == ("cancel_command", [claim.command.command_id])
    await server.finish(claim)
    await server.finish(control)
    assert server.worker.running == {}


async def test_modules_answers_keep_their_bytes(api: Api) -> None:
    server, client = api
    refusal = {"success": False, "error": "No face found in image", "code": 500}
    async with server.answering(lambda payload: refusal), client.post("/v1/demo/quick") as answer:
        text = await answer.text()
    assert answer.status == 200
    assert text.startswith('{"success":false,"error":"No face found in image","code":500,"analysisRoundTripMs":')


async def events_of(answer: aiohttp.ClientResponse) -> list[tuple[int, str, Any]]:
    """Read a stream to its end."""
    text = (await answer.read()).decode()
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


async def test_a_stream_can_be_left_and_rejoined(api: Api) -> None:
    server, client = api
    claim, command_id = await start(server, client)
    await write(server, command_id, "a", "b")
    path = f"/v1/commands/{command_id}/events"
    following = asyncio.create_task(client.get(path, headers={**STREAM, "Last-Event-ID": "3"}))
    answer = await following
    await write(server, command_id, "c")
    await server.finish(claim, reply="abc")
    events = await events_of(answer)
    assert [(seq, kind) for seq, kind, _ in events] == [(4, "delta"), (5, "delta"), (6, "result")]
    assert [data["text"] for _, _, data in events[:2]] == ["b", "c"]
    assert events[-1][2]["result"]["reply"] == "abc"
    async with client.get(path + "?after=4") as again:
        body = await again.json()
    assert [event["seq"] for event in body["events"]] == [5, 6]
    assert body["ended"] is True


async def test_a_poll_can_ask_for_the_new_text_only(api: Api) -> None:
    server, client = api
    claim, command_id = await start(server, client)
    await write(server, command_id, "a", "b")
    first = await post(client, "/v1/Demo/get_command_status", commandId=command_id, after=0)
    assert (first["reply"], first["historyGone"]) == ("ab", False)
    await write(server, command_id, "c")
    await server.finish(claim, reply="abc")
    second = await post(client, "/v1/Demo/get_command_status", commandId=command_id, after=first["lastSeq"])
    assert (second["reply"], second["commandStatus"]) == ("c", "completed")


async def test_a_waiting_stream_tells_its_position(api: Api) -> None:
    server, client = api
    await start(server, client)
    first = await post(client, "/v1/demo/long")
    answer = await client.post("/v1/demo/long", headers=STREAM)
    lines = []
    while b": position 1\n" not in lines:
        lines.append(await answer.content.readline())
    await cancel(client, first["commandId"])
    while b": position 0\n" not in lines:
        lines.append(await answer.content.readline())
    await cancel(client, answer.headers["X-Command-Id"])
    assert b"event: cancelled" in await answer.read()


async def test_any_route_can_be_streamed_directly(api: Api) -> None:
    server, client = api
    posting = asyncio.create_task(client.post("/v1/demo/long", headers=STREAM))
    claim = await server.claim()
    await server.started_long(claim)
    await write(server, claim.command.command_id, "x")
    await server.finish(claim, reply="x")
    answer = await posting
    assert answer.headers["X-Command-Id"] == claim.command.command_id
    assert [kind for _, kind, _ in await events_of(answer)] == ["queued", "started", "delta", "result"]


async def test_the_native_view(api: Api) -> None:
    server, client = api
    _, first = await start(server, client)
    second = (await post(client, "/v1/demo/long"))["commandId"]
    async with client.get("/v1/commands?limit=1") as answer:
        listing = await answer.json()
    assert (listing["total"], [c["id"] for c in listing["commands"]]) == (2, [second])
    async with client.get(f"/v1/commands/{second}") as answer:
        record = await answer.json()
    assert (record["state"], record["position"], record["module"]) == ("queued", 0, "Demo")
    async with client.post(f"/v1/commands/{second}/cancel") as answer:
        assert (await answer.json())["state"] == "cancelled"
    for how in (client.get, client.post):
        async with how(f"/v1/commands/{first}x/" + ("cancel" if how == client.post else "")) as answer:
            assert answer.status == 404


async def test_the_list_can_be_of_live_commands_alone_and_without_what_is_large(api: Api) -> None:
    server, client = api
    claim, running = await start(server, client)
    await write(server, running, "Hello ", "there")
    waiting = (await post(client, "/v1/demo/long"))["commandId"]
    stopped = (await post(client, "/v1/demo/long"))["commandId"]
    await cancel(client, stopped)

    async def listed(query: str) -> list[dict[str, Any]]:
        async with client.get(f"/v1/commands?{query}") as answer:
            body = await answer.json()
        assert body["total"] == len(body["commands"])
        commands: list[dict[str, Any]] = body["commands"]
        return commands

    live = await listed("state=live&brief=true")
    assert [command["id"] for command in live] == [waiting, running]
    assert (live[1]["state"], live[1]["text_length"], live[1]["route"]) == ("running", 11, "demo/long")
    assert not {"text", "fields", "last_seq", "result"} & live[1].keys()
    assert [command["id"] for command in await listed("state=ended")] == [stopped]
    assert [command["id"] for command in await listed("state=queued,cancelled")] == [stopped, waiting]
    await server.finish(claim, reply="Hello there")
    (ended,) = await listed("state=completed")
    assert (ended["text"], ended["result"]["reply"]) == ("Hello there", "Hello there")
    async with client.get("/v1/commands?state=asleep") as answer:
        assert (answer.status, "live, ended, queued" in (await answer.json())["error"]) == (400, True)


async def test_owners_cannot_see_each_others_commands(tmp_path: Path) -> None:
    async with running_api(tmp_path, api_keys={"key-a": "ann", "key-b": "bob"}) as (server, client):
        ann, bob = {"Authorization": "Bearer key-a"}, {"X-API-Key": "key-b"}
        posting = asyncio.create_task(client.post("/v1/demo/long", headers=ann))
        claim = await server.claim()
        await server.started_long(claim)
        command_id = (await (await posting).json())["commandId"]
        for path in ("/v1/Demo/get_command_status", "/v1/Demo/cancel_command"):
            async with client.post(path, data={"commandId": command_id}, headers=bob) as answer:
                assert (await answer.json())["commandStatus"] == "unknown"
        async with client.get(f"/v1/commands/{command_id}", headers=bob) as answer:
            assert answer.status == 404
        async with client.get("/v1/commands", headers=bob) as answer:
            assert (await answer.json())["total"] == 0
        async with client.get("/v1/commands") as answer:
            assert answer.status == 401
        async with client.get(f"/v1/commands/{command_id}", headers=ann) as answer:
            assert (await answer.json())["state"] == "running"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:32168"}],
)
async def test_foreign_pages_are_turned_away(api: Api, headers: dict[str, str]) -> None:
    _, client = api
    async with client.post("/v1/demo/long", headers=headers) as answer:
        assert answer.status == 403
        assert (await answer.json())["success"] is False


async def test_lenient_paths(api: Api) -> None:
    _, client = api
    for path in ("/v1/server/status/ping/", "/V1/Status/Ping", "/v1/server/status/version", "/v1/LOG/list/?count=3"):
        async with client.get(path) as answer:
            assert (answer.status, (await answer.json())["success"]) == (200, True), path
    assert (await post(client, "/v1/log/", entry="hello", category="M", log_level="nonsense"))["success"] is True
    async with client.get("/v1/log/list?last_id=0&count=10") as answer:
        assert (await answer.json())["entries"][-1]["entry"] == "M: hello"
