"""What views show of a command that is given to a module again, and of one whose worker forgets it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from server.commands.command import CommandState
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.workers import Worker
from tests.support.api_server import ApiServer, Client, running_api

Api = tuple[ApiServer, Client]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def started(api: Api) -> str:
    """Start a long command that has written some text."""
    server, client = api
    async with client.post("/v1/demo/long") as answer:
        command_id = str((await answer.json())["commandId"])
    await server.started_long(await server.claim())
    await server.dispatcher.append(command_id, [NewEvent(EventKind.DELTA, "old ", 1)])
    return command_id


async def poll(client: Client, command_id: str, after: int) -> dict[str, object]:
    form = {"commandId": command_id, "after": str(after)}
    async with client.post("/v1/Demo/get_command_status", data=form) as answer:
        body: dict[str, object] = await answer.json()
        return body


async def test_a_poll_for_new_text_says_that_the_command_began_anew(api: Api) -> None:
    server, client = api
    command_id = await started(api)
    before = await poll(client, command_id, 0)
    assert (before["reply"], before["startedAnew"]) == ("old ", False)
    await server.broker.requeue(command_id)
    await server.started_long(await server.claim())
    await server.dispatcher.append(command_id, [NewEvent(EventKind.DELTA, "new ", 1)])
    after = await poll(client, command_id, int(str(before["lastSeq"])))
    assert (after["reply"], after["startedAnew"]) == ("new ", True)
    assert (await poll(client, command_id, 0))["reply"] == "new "


async def test_a_begun_command_that_its_worker_forgets_fails_instead_of_running_twice(api: Api) -> None:
    server, _ = api
    command_id = await started(api)
    await server.dispatcher.put_back(server.worker, command_id)
    command = await server.dispatcher.record(command_id)
    assert (command.state, command.reason) == (CommandState.FAILED, "module_lost")


async def test_a_command_that_is_to_be_stopped_ends_when_its_worker_forgets_it(api: Api) -> None:
    server, _ = api
    command_id = await started(api)
    owner = (await server.dispatcher.record(command_id)).owner
    await server.dispatcher.cancel(command_id, owner)
    await server.dispatcher.put_back(server.worker, command_id)
    assert (await server.dispatcher.record(command_id)).state is CommandState.CANCELLED


async def test_a_worker_ends_only_what_it_was_given(api: Api) -> None:
    server, _ = api
    command_id = await started(api)
    stranger = Worker(worker_id="stranger", module_id="Other", queue="other_queue")
    result = b'{"success":true}'
    assert not await server.dispatcher.finish(stranger, command_id, True, msgspec.Raw(result))
    assert (await server.dispatcher.record(command_id)).state is CommandState.RUNNING
    assert await server.dispatcher.finish(server.worker, command_id, True, msgspec.Raw(result))
    assert not await server.dispatcher.finish(server.worker, command_id, True, msgspec.Raw(b'{"success":false}'))
    assert (await server.dispatcher.record(command_id)).state is CommandState.COMPLETED
