"""The key in the form of a call to a module: it lets in, reaches nobody, and what comes without one leaves nothing."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.commands.command import Payload
from server.http.owner_limits import OwnerLimits
from server.http.unknown_bodies import UnknownBodies
from server.key_mask import KeyMask
from server.log_book import MAX_ENTRY_CHARACTERS, LogBook
from tests.support.api_server import ApiServer, Client, running_api

KEYS = {"key-a": "ann", "key-b": "bob"}
LARGE = b"x" * 3_000_000
Api = tuple[ApiServer, Client]
Fields = tuple[tuple[str, Any], ...]


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, api_keys=KEYS, max_unknown_body_bytes=8_000_000) as api:
        yield api


def form(*fields: tuple[str, Any]) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields:
        if isinstance(value, bytes):
            data.add_field(name, io.BytesIO(value), filename="a.jpg")
        else:
            data.add_field(name, value)
    return data


def multipart(*fields: tuple[str, Any]) -> Fields:
    return (*fields, ("image", b"small"))


def arguments(sent: dict[str, Any] | Fields) -> dict[str, Any]:
    return {"data": form(*sent)} if isinstance(sent, tuple) else sent


def told(payload: Payload) -> dict[str, Any]:
    return {"values": [item.key for item in payload.values], "sizes": [file.size for file in payload.files]}


@pytest.mark.parametrize(
    "sent",
    [
        multipart(("api_key", "key-a"), ("min_confidence", "0.4")),
        multipart(("min_confidence", "0.4"), ("image", LARGE), ("API_Key", " key-a ")),
        {"data": {"api_key": "key-a", "min_confidence": "0.4"}},
        {"json": {"api_key": "key-a", "min_confidence": "0.4"}},
        {"json": {"values": [{"key": "api_key", "value": ["key-a"]}, {"key": "min_confidence", "value": ["0.4"]}]}},
        {"params": {"api_key": "key-a", "min_confidence": "0.4"}},
        {"params": {"api_key": "key-a"}, "data": {"min_confidence": "0.4"}},
        {"params": {"api_key": ""}, "data": {"min_confidence": "0.4", "api_key": "key-a"}},
        {"data": {"min_confidence": "0.4", "api_key": "whatever"}, "headers": {"X-API-Key": "key-a"}},
    ],
)
async def test_a_key_in_the_form_lets_in_and_reaches_no_module(keyed: Api, sent: dict[str, Any] | Fields) -> None:
    server, client = keyed
    async with server.answering(told), client.post("/v1/demo/quick", **arguments(sent)) as answer:
        body = await answer.json()
    assert (answer.status, body["values"]) == (200, ["min_confidence"])


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"data": {"min_confidence": "0.4"}},
        {"data": {"api_key": ""}},
        {"data": {"api_key": "wrong"}},
        multipart(("api_key", "wrong"), ("image", LARGE)),
        multipart(("image", LARGE)),
        {"params": {"api_key": "wrong"}},
        {"json": {"files": [{"name": "image", "data": "eA=="}]}},
    ],
)
async def test_a_form_without_a_valid_key_leaves_nothing(keyed: Api, sent: dict[str, Any] | Fields) -> None:
    server, client = keyed
    for path in ("/v1/demo/quick", "/v1/demo/unheard-of", "/v1/Demo/get_command_status"):
        async with client.post(path, **arguments(sent)) as answer:
            assert (answer.status, (await answer.json())["success"]) == (401, False), path
    assert await server.dispatcher.owned("anonymous") == []
    spool = server.settings.data_dir / "spool"
    assert await asyncio.to_thread(lambda: list(spool.glob("*")) if spool.exists() else []) == []


async def test_a_form_key_is_only_for_calls_to_modules(keyed: Api) -> None:
    _, client = keyed
    for method, path in (("GET", "/v1/commands"), ("POST", "/v1/log"), ("GET", "/v1/status/ping")):
        async with client.request(method, f"{path}?api_key=key-a", data={"api_key": "key-a"}) as answer:
            assert answer.status == 401, path


async def test_a_body_without_a_key_has_a_smaller_limit(keyed: Api) -> None:
    _, client = keyed
    async with client.post("/v1/demo/quick", data=form(("image", b"x" * 9_000_000), ("api_key", "key-a"))) as answer:
        assert answer.status == 413
    async with client.post(
        "/v1/demo/unheard-of", data=form(("image", b"x" * 9_000_000)), headers={"X-API-Key": "key-a"}
    ) as answer:
        assert answer.status == 404


async def test_without_keys_the_field_is_the_modules(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path) as (server, client),
        server.answering(told),
        client.post("/v1/demo/quick", data={"api_key": "sk-of-another-service"}) as answer,
    ):
        assert (await answer.json())["values"] == ["api_key"]


async def test_only_so_many_bodies_of_strangers_are_read_at_a_time() -> None:
    bodies = UnknownBodies(2)
    inside: list[str] = []
    full, leave = asyncio.Event(), asyncio.Event()

    async def read(name: str, address: str) -> None:
        async with bodies.reading(address) as place:
            inside.append(name)
            if len(inside) == 3:
                full.set()
            await leave.wait()
            place.give_back()
            place.give_back()

    names = ("a", "b", "c", "d")
    tasks = [asyncio.create_task(read(name, "10.0.0.1")) for name in names]
    tasks.append(asyncio.create_task(read("other", "10.0.0.2")))
    await full.wait()
    assert sorted(inside) == ["a", "b", "other"]
    tasks[2].cancel()
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(inside) == ["a", "b", "d", "other"]


# --- limits of owners ---------------------------------------------------------------------------------


def test_an_owner_may_ask_so_often_and_others_are_not_concerned() -> None:
    now = [10.0]
    limits = OwnerLimits(2, 0, lambda: now[0])
    assert [limits.wait("ann") for _ in range(4)] == [0, 0, pytest.approx(0.5), pytest.approx(0.5)]
    assert limits.wait("bob") == 0
    now[0] += 0.5
    assert [limits.wait("ann") > 0 for _ in range(2)] == [False, True]
    assert {OwnerLimits(0, 0).wait("ann") for _ in range(100)} == {0.0}


@pytest.mark.parametrize("keys", [KEYS, {}])
async def test_requests_of_an_owner_are_limited_and_the_local_user_is_not(tmp_path: Path, keys: dict[str, str]) -> None:
    async with running_api(tmp_path, api_keys=keys, owner_requests=0.001) as (_, client):
        seen = []
        for _ in range(2):
            async with client.get("/v1/commands", headers={"X-API-Key": "key-a"}) as answer:
                seen.append(answer.status)
        assert seen == ([200, 429] if keys else [200, 200])
        async with client.post("/v1/demo/quick", data={"api_key": "key-a"}) as answer:
            assert (answer.status == 429, "Retry-After" in answer.headers) == (bool(keys), bool(keys))


async def test_commands_of_an_owner_are_limited(tmp_path: Path) -> None:
    async with running_api(tmp_path, api_keys=KEYS, owner_commands=2) as (_, client):
        seen = []
        for key in ("key-a", "key-a", "key-a", "key-b"):
            async with client.post("/v1/demo/long", headers={"X-API-Key": key}) as answer:
                seen.append(answer.status)
        assert seen == [200, 200, 429, 200]


# --- keys in the log ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("secret-1 was sent", "… was sent"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("GET /v1/x?api_key=foo&b=1", "GET /v1/x?api_key=…&b=1"),
        ('{"api_key": "foo", "x": 1}', '{"api_key": "…", "x": 1}'),
        ("X-API-Key: foo", "X-API-Key: …"),
        ("made mrk_abcdefghijklmnop-_.", "made …."),
        ("the api_key is missing, as is min", "the api_key is missing, as is min"),
    ],
)
def test_keys_are_masked(text: str, masked: str) -> None:
    assert KeyMask(["secret-1", "min"]).applied(text) == masked


def test_no_log_entry_holds_a_key_not_even_half_of_one() -> None:
    book = LogBook(["secret-of-ann"])
    book.add("x" * (MAX_ENTRY_CHARACTERS - 6) + "secret-of-ann", "info", "secret-of-ann", "secret-of-ann")
    [entry] = book.after(0, 1)
    assert "secret" not in entry.entry + entry.category + entry.label
