"""What an answer counts for when its worker, the server or a service manager ends: the rules, without processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.commands.broker import Claim
from server.commands.command import Command, CommandState
from server.commands.loss import SERVER_STOPPED
from server.commands.reply_buffer import EventKind, NewEvent
from tests.support.api_server import ApiServer, Client, running_api

Api = tuple[ApiServer, Client]
WHOLE = msgspec.Raw(b'{"success":true,"reply":"all of it"}')
FAILED = msgspec.Raw(b'{"success":false,"error":"The command was cancelled"}')


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def long(api: Api, *texts: str) -> Claim:
    """Start a long command that has written these texts."""
    server, client = api
    posting = asyncio.create_task(client.post("/v1/demo/long"))
    claim = await server.claim()
    await server.started_long(claim)
    (await posting).close()
    await server.dispatcher.append(claim.command.command_id, [NewEvent(EventKind.DELTA, text) for text in texts])
    return claim


async def quick(api: Api) -> tuple[asyncio.Task[Any], Claim]:
    """Send a quick command and let the worker begin it."""
    server, client = api

    async def post() -> Any:
        async with client.post("/v1/demo/quick") as answer:
            return await answer.json()

    posting = asyncio.create_task(post())
    return posting, await server.claim()


async def finish(api: Api, claim: Claim, output: msgspec.Raw = WHOLE, unfinished: bool = False) -> Command:
    """Answer, and return the record."""
    server, command_id = api[0], claim.command.command_id
    success = output is WHOLE
    assert await server.dispatcher.finish(server.worker, command_id, success, output, unfinished)
    return await server.dispatcher.record(command_id)


def end_of(command: Command) -> tuple[CommandState, str | None]:
    return command.state, command.reason


async def test_a_long_answer_after_the_dismissal_is_not_believed(api: Api) -> None:
    claim = await long(api, "some ")
    api[0].dispatcher.dismiss(api[0].worker, "its settings have changed")
    record = await finish(api, claim)
    assert end_of(record) == (CommandState.FAILED, "module_stopped")
    error = "The module was stopped before this was finished: its settings have changed. Send it again."
    assert (record.error, record.result) == (error, None)


async def test_a_worker_that_says_so_itself_is_believed(api: Api) -> None:
    worker = api[0].worker
    worker.marks_unfinished = True
    whole, cut = await long(api, "a "), await long(api, "b ")
    api[0].dispatcher.dismiss(worker, "its settings have changed")
    assert end_of(await finish(api, whole)) == (CommandState.COMPLETED, None)
    assert end_of(await finish(api, cut, unfinished=True)) == (CommandState.FAILED, "module_stopped")


async def test_what_nobody_has_seen_anything_of_is_delivered_again_and_not_counted(api: Api) -> None:
    claim = await long(api)
    api[0].dispatcher.dismiss(api[0].worker, "its settings have changed")
    record = await finish(api, claim)
    assert (record.state, record.deliveries) == (CommandState.QUEUED, 0)


async def test_a_quick_answer_after_the_dismissal_counts_and_a_refusal_does_not(api: Api) -> None:
    (answered, claim), (refused, other) = await quick(api), await quick(api)
    api[0].dispatcher.dismiss(api[0].worker, "its settings have changed")
    assert end_of(await finish(api, claim)) == (CommandState.COMPLETED, None)
    assert (await answered)["reply"] == "all of it"
    assert (await finish(api, other, FAILED)).state is CommandState.QUEUED
    refused.cancel()
    await asyncio.gather(refused, return_exceptions=True)


async def test_what_a_client_cancelled_ends_as_cancelled_all_the_same(api: Api) -> None:
    server, _ = api
    claim = await long(api, "some ")
    await server.dispatcher.cancel(claim.command.command_id, claim.command.owner)
    server.dispatcher.dismiss(server.worker, "its settings have changed")
    record = await finish(api, claim, unfinished=True)
    assert end_of(record) == (CommandState.CANCELLED, "cancelled_by_client")


async def test_a_process_that_somebody_else_ends_counts_as_a_delivery(api: Api) -> None:
    """A command that ends its process by a signal to itself would be delivered for ever otherwise."""
    server, _ = api
    claim = await long(api)
    record = await finish(api, claim, unfinished=True)
    assert (record.state, record.deliveries, server.worker.room.closed) == (CommandState.QUEUED, 1, True)
    record = await finish(api, await server.claim(), unfinished=True)
    assert end_of(record) == (CommandState.FAILED, "poison")


async def test_a_drain_waits_for_what_runs_and_begins_nothing_long(api: Api) -> None:
    server, _ = api
    running, waiting = await long(api, "a "), asyncio.create_task(long(api))
    draining = asyncio.create_task(server.dispatcher.drain([server.worker], 30))
    await asyncio.sleep(0)
    assert not server.worker.room.fits(True)
    assert end_of(await finish(api, running)) == (CommandState.COMPLETED, None)
    await asyncio.wait_for(draining, 10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_what_the_end_of_the_server_cuts_off_says_so(api: Api) -> None:
    server, _ = api
    seen, unseen = await long(api, "some "), await long(api)
    await server.dispatcher.drain([server.worker], 0)
    await server.dispatcher.worker_gone(server.worker, "its process ended with exit code 0")
    records = [await server.dispatcher.record(claim.command.command_id) for claim in (seen, unseen)]
    assert end_of(records[0]) == (CommandState.FAILED, "server_restart")
    assert (records[0].error, records[1].state) == (SERVER_STOPPED, CommandState.QUEUED)


async def test_who_waits_for_a_quick_answer_is_told_when_the_server_ends(api: Api) -> None:
    server, _ = api
    posting, _ = await quick(api)
    await server.dispatcher.drain([server.worker], 0)
    await server.dispatcher.close()
    body = await posting
    assert (body["success"], body["error"], body["reason"]) == (False, SERVER_STOPPED, "server_restart")


@pytest.mark.parametrize("output", [b"[1,2]", b'"text"', b"5", b"null", b" [ { } ] "])
async def test_an_answer_that_is_no_object_is_an_error(api: Api, output: bytes) -> None:
    posting, claim = await quick(api)
    await api[0].dispatcher.finish(api[0].worker, claim.command.command_id, True, msgspec.Raw(output))
    body = await posting
    assert (body["success"], body["error"]) == (False, "The module's answer is not a JSON object.")
