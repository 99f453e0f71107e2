"""What each refusal of a module route is in HTTP: as the clients of the ancestor expect it, and strictly."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.commands.command import Reason
from server.commands.errors import ModuleUnavailableError
from server.config import load_settings
from tests.support.api_server import ApiServer, Client, running_api
from tests.support.hosting_modules import eventually

Answer = tuple[int, Any, Any]
Ask = Callable[[ApiServer, Client], Awaitable[Answer]]


async def post(client: Client, path: str = "/v1/demo/quick", **how: Any) -> Answer:
    async with client.post(path, **how) as answer:
        return answer.status, await answer.json(), answer.headers


async def a_stopped_module(api: ApiServer, client: Client) -> Answer:
    api.dispatcher.close_queue("demo_queue", ModuleUnavailableError("Demo", "it is stopped"))
    return await post(client)


async def a_stopping_server(api: ApiServer, client: Client) -> Answer:
    api.dispatcher.accepting = False
    return await post(client)


async def a_full_queue(api: ApiServer, client: Client) -> Answer:
    waiting = asyncio.ensure_future(post(client, "/v1/demo/long"))
    await eventually(lambda: len(api.broker._queue("demo_queue")) == 1)
    found = await post(client)
    await waiting
    return found


async def no_answer_in_time(api: ApiServer, client: Client) -> Answer:
    return await post(client)


async def a_command_that_cannot_be_sent(api: ApiServer, client: Client) -> Answer:
    asking = asyncio.ensure_future(post(client, "/v1/demo/long"))
    claim = await api.claim()
    await api.dispatcher.refuse(api.worker, claim.command.command_id, "it cannot be sent")
    return await asking


async def a_module_that_stops(api: ApiServer, client: Client) -> Answer:
    asking = asyncio.ensure_future(post(client, "/v1/demo/long"))
    await api.claim()
    await api.dispatcher.fail_waiting("demo_queue", Reason.MODULE_STOPPED, "stopped")
    (command,) = await api.broker.records()
    await api.dispatcher.fail(command.command_id, Reason.MODULE_STOPPED, "stopped")
    return await asking


async def a_module_that_refuses(api: ApiServer, client: Client) -> Answer:
    async with api.answering(lambda payload: {"success": False, "error": f"{len(payload.files)} files, not one"}):
        return await post(client, data={"a": "1"})


async def no_body_at_all(api: ApiServer, client: Client) -> Answer:
    async with api.answering(lambda payload: {"success": False, "error": f"{len(payload.files)} files, not one"}):
        return await post(client)


async def a_damaged_body(api: ApiServer, client: Client) -> Answer:
    return await post(client, data=b"{", headers={"Content-Type": "application/json"})


async def too_large_a_body(api: ApiServer, client: Client) -> Answer:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(b"x" * 2_000_000), filename="a.jpg")
    return await post(client, data=form)


async def a_bare_image(api: ApiServer, client: Client) -> Answer:
    return await post(client, data=b"\xff\xd8", headers={"Content-Type": "image/jpeg"})


CASES: list[tuple[Ask, int, int, int]] = [
    (a_stopped_module, 200, 503, 503),
    (a_stopping_server, 200, 503, 503),
    (a_full_queue, 200, 429, 429),
    (no_answer_in_time, 200, 500, 504),
    (a_command_that_cannot_be_sent, 200, 500, 502),
    (a_module_that_stops, 200, 500, 503),
    (a_damaged_body, 400, 400, 400),
    (too_large_a_body, 413, 413, 413),
    (a_bare_image, 415, 415, 415),
]


@pytest.mark.parametrize(("ask", "status", "code", "strictly"), CASES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("strict", [False, True])
async def test_the_status_of_a_refusal(
    tmp_path: Path, ask: Ask, status: int, code: int, strictly: int, strict: bool
) -> None:
    limits: dict[str, Any] = {"queue_length": 1, "response_timeout": 0.1, "max_body_bytes": 1_900_000}
    async with running_api(tmp_path, strict_status=strict, **limits) as (api, client):
        got, body, headers = await ask(api, client)
    assert (got, body["success"]) == (strictly if strict else status, False)
    assert body["code"] == (strictly if strict else code)
    assert isinstance(body["error"], str)
    assert ("Retry-After" in headers) is (strict and ask in (a_stopped_module, a_stopping_server, a_full_queue))


@pytest.mark.parametrize("ask", [a_module_that_refuses, no_body_at_all])
@pytest.mark.parametrize("strict", [False, True])
async def test_what_the_module_says_is_no_refusal(tmp_path: Path, ask: Ask, strict: bool) -> None:
    async with running_api(tmp_path, strict_status=strict) as (api, client):
        status, body, _ = await ask(api, client)
    assert (status, body["success"], body["error"]) == (200, False, "0 files, not one")


def test_the_flag_is_the_setting() -> None:
    assert load_settings([], {})[0].strict_status is False
    assert load_settings(["--strict-status"], {})[0].strict_status is True
    assert load_settings([], {"MILLRACE_STRICT_STATUS": "true"})[0].strict_status is True
