"""Bytes that are no valid UTF-8, wherever a request can carry them: what comes in is text that can travel on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.commands.command import Payload
from server.config import load_settings
from server.log_book import LogBook
from server.text import well_formed
from tests.support.api_server import ApiServer, Client, running_api

Api = tuple[ApiServer, Client]
FORM = b"Content-Type: multipart/form-data; boundary=XX\r\n"


def echo(payload: Payload) -> dict[str, Any]:
    files = [[file.name, file.filename, file.content_type] for file in payload.files]
    return {"values": payload.values, "files": files, "segments": payload.segments}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as (server, client), server.answering(echo):
        yield server, client


async def raw(client: Client, target: bytes, headers: bytes = b"", body: bytes = b"", method: bytes = b"POST") -> Any:
    """Send a request byte for byte; return status and answer."""
    assert client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = method + b" " + target + b" HTTP/1.1\r\nConnection: close\r\n"
    if b"Host:" not in headers:
        head += b"Host: localhost\r\n"
    writer.write(head + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    writer.close()
    status = int(answer.split(b" ")[1])
    return status, json.loads(answer.split(b"\r\n\r\n", 1)[1])


def part(disposition: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join([b"Content-Disposition: form-data; " + disposition, *headers])
    return b"--XX\r\n" + head + b"\r\n\r\n1\r\n--XX--\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (part(b'name="image"; filename="gr\xf6\xdfe.jpg"'), ["image", "gr\ufffd\ufffde.jpg", None]),
        (part(b'name="gr\xf6\xdfe"; filename="a.jpg"'), ["gr\ufffd\ufffde", "a.jpg", None]),
        (part(b'name="f"; filename="a"', b"Content-Type: t\xe9xt/plain"), ["f", "a", "t\ufffdxt/plain"]),
        (part('name="größe"; filename="größe.jpg"'.encode()), ["größe", "größe.jpg", None]),
    ],
)
async def test_a_file_with_odd_headers_reaches_the_module(api: Api, body: bytes, expected: list[str]) -> None:
    status, answer = await raw(api[1], b"/v1/demo/quick", FORM, body)
    assert (status, answer["files"]) == (200, [expected])


async def test_an_odd_field_name_reaches_the_module(api: Api) -> None:
    status, answer = await raw(api[1], b"/v1/demo/quick", FORM, part(b'name="gr\xf6\xdfe"'))
    assert (status, answer["values"]) == (200, [{"key": "gr\ufffd\ufffde", "value": ["1"]}])


async def test_an_odd_query_reaches_the_module_as_text(api: Api) -> None:
    status, answer = await raw(api[1], b"/v1/demo/quick?a%ff=%fe&b=%c3%9f")
    assert status == 200
    assert answer["values"] == [{"key": "a\ufffd", "value": ["\ufffd"]}, {"key": "b", "value": ["ß"]}]


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (b"/v1/nothing/%ff", b"", 404),
        (b"/nothing/%ff", b"", 404),
        (b"/v1/demo/quick", b"Origin: http://\xff\xfe\r\n", 403),
        (b"/v1/demo/quick", b"Host: \xff\xfe\r\n", 403),
        (b"/v1/demo/quick", b"Content-Type: t\xe9xt/plain\r\n", 415),
        (b"/v1/commands/%ff/cancel", b"", 404),
        (b"/v1/Demo%ff/get_command_status", b"", 404),
    ],
)
async def test_odd_bytes_in_what_is_refused_are_named_in_a_clear_error(
    api: Api, target: bytes, headers: bytes, status: int
) -> None:
    got, answer = await raw(api[1], target, headers, b"x" if b"Content-Type" in headers else b"")
    assert (got, answer["success"]) == (status, False)
    assert answer["error"]


async def test_a_log_entry_with_halves_of_surrogate_pairs_can_be_read(api: Api) -> None:
    server, client = api
    server.log.add("gr\udcf6\udcdfe", category="M\udcff", label="\ud83d")
    async with client.get("/v1/log/list?count=1") as answer:
        [entry] = (await answer.json())["entries"]
    assert (entry["entry"], entry["label"]) == ("M\ufffd: gr\ufffd\ufffde", "\ufffd")


def test_log_entries_are_valid_unicode() -> None:
    book = LogBook()
    book.add("\ud83d\ude00 and \ud800")
    assert book.after(0, 1)[0].entry == "Server: 😀 and \ufffd"


def test_owners_are_valid_unicode() -> None:
    settings, _ = load_settings([], {"MILLRACE_API_KEYS": "gr\udcf6\udcdfe=secret"})
    assert settings.api_keys == {"secret": "gr\ufffd\ufffde"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe 😀", "größe 😀"),
        ("\ud83d\ude00", "😀"),
        ("\ud800\ud83d\ude00", "\ufffd😀"),
        ("\udcff", "\ufffd"),
        ("", ""),
    ],
)
def test_well_formed(text: str, expected: str) -> None:
    assert well_formed(text) == expected


async def test_a_content_type_that_is_no_text_is_refused(api: Api) -> None:
    async with api[1].post("/v1/demo/quick", json={"files": [{"data": "", "contentType": 5}]}) as answer:
        assert answer.status == 400
        assert "contentType" in (await answer.json())["error"]
