"""Input that is damaged, odd or meant otherwise gets what was meant, or a clear 4xx; never a 500."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import sys
import uuid
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from server.brokers.local import blob_folder
from server.commands.command import Payload
from server.config import ServerSettings
from server.http.bad_request import BadRequestError
from server.http.body_limits import body_limits
from server.http.content_encoding import PIECE_BYTES, Inflater
from server.http.multipart_form import MultipartForm
from tests.support.api_server import ApiServer, Client, running_api

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}
BODY = b'{"prompt":"hi"}'
PARTS = b'--xx\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhi\r\n--xx--\r\n'
HI = {"prompt": ["hi"]}
Api = tuple[ApiServer, Client]


def values(payload: Payload) -> dict[str, Any]:
    return {"values": {item.key: item.value for item in payload.values}}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, max_body_bytes=3_000_000) as (api, client), api.answering(values):
        yield api, client


async def post(api: Api, data: bytes, headers: dict[str, str], path: str = "/v1/demo/quick") -> tuple[int, Any]:
    server, client = api
    async with client.post(path, data=io.BytesIO(data), headers=headers, skip_auto_headers=["Content-Type"]) as answer:
        found = answer.status, await answer.json()
    assert not [entry.entry for entry in server.log.after(0, 100) if entry.level == "error"]
    return found


def zipped(data: bytes) -> bytes:
    """Without the time of day: tests are named by their data, and each worker must find the same ones."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", zipped(BODY)),
        ("GZip", zipped(BODY)),
        ("x-gzip", zipped(BODY)),
        ("gzip", zipped(BODY[:5]) + zipped(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
    ],
)
async def test_a_compressed_body_is_read(api: Api, encoding: str, body: bytes) -> None:
    assert (await post(api, body, {**JSON, "Content-Encoding": encoding}))[1]["values"] == HI


async def test_compressed_forms_are_read(api: Api) -> None:
    packed = {"Content-Encoding": "gzip"}
    assert (await post(api, zipped(PARTS), {**MULTIPART, **packed}))[1]["values"] == HI
    assert (await post(api, zipped(b"prompt=hi"), {**FORM, **packed}))[1]["values"] == HI


@pytest.mark.parametrize(
    ("encoding", "body", "status", "says"),
    [
        ("gzip", b"no gzip at all", 400, "incorrect header check"),
        ("gzip", zipped(b"prompt=hi")[:-1], 400, "its end is missing"),
        ("gzip", zipped(b"prompt=hi" * 1000)[:30], 400, "its end is missing"),
        ("gzip", zipped(b"prompt=hi")[:-8] + b"12345678", 400, "incorrect data check"),
        ("gzip", zipped(b"prompt=hi") + b"more", 400, "incorrect header check"),
        ("deflate", zlib.compress(b"prompt=hi")[:-5], 400, "its end is missing"),
        ("deflate", b"\x78zzz", 400, "not valid deflate"),
        ("gzip", zipped(b"x" * 3_000_001), 413, "larger than 3000000 bytes when it is unpacked"),
        ("br", b"anything", 415, "'br' is not understood"),
        ("gzip, gzip", zipped(zipped(b"prompt=hi")), 415, "with gzip or deflate"),
    ],
)
@pytest.mark.parametrize("kind", [FORM, MULTIPART, JSON])
async def test_a_damaged_or_unknown_encoding_is_the_clients_fault(
    api: Api, encoding: str, body: bytes, status: int, says: str, kind: dict[str, str]
) -> None:
    if kind is MULTIPART and status == 413:  # it is read part by part, and there is none
        status, says = 400, "too much text outside of its parts"
    got, answer = await post(api, body, {**kind, "Content-Encoding": encoding})
    assert (got, answer["success"]) == (status, False)
    assert says in answer["error"]
    assert (await post(api, b"prompt=hi", FORM))[1]["values"] == HI


def test_little_gzip_never_becomes_much_at_once() -> None:
    packed = gzip.compress(b"\0" * (40 * PIECE_BYTES))
    assert len(packed) < PIECE_BYTES
    inflater = Inflater("gzip")
    sizes = [len(piece) for piece in inflater.feed(packed)]
    inflater.end()
    assert sum(sizes) == 40 * PIECE_BYTES
    assert max(sizes) == PIECE_BYTES


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7])
def test_unpacking_is_whole_however_the_bytes_arrive(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    packed = gzip.compress(data)
    for step in (1, 7, len(packed)):
        inflater = Inflater("gzip")
        found = b"".join(
            piece for start in range(0, len(packed), step) for piece in inflater.feed(packed[start : start + step])
        )
        inflater.end()
        assert found == data
    cut = Inflater("gzip")
    list(cut.feed(packed[:-1]))
    with pytest.raises(BadRequestError, match="its end is missing"):
        cut.end()


@pytest.mark.parametrize("headers", [FORM, {"Content-Type": "text/plain;charset=UTF-8"}, {}])
@pytest.mark.parametrize("text", ['{"prompt": "a=b&c"}', '\n {"prompt":\n"a=b&c"}\n', '\ufeff{"prompt": "a=b&c"}'])
async def test_json_is_recognised_whatever_its_content_type_says(api: Api, headers: dict[str, str], text: str) -> None:
    status, answer = await post(api, text.encode(), headers)
    assert (status, answer["values"]) == (200, {"prompt": ["a=b&c"]})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"prompt=hi", HI),
        (b"%7B%22prompt%22%3A+1%7D=", {'{"prompt": 1}': [""]}),
        (b"prompt={%22a%22:1}", {"prompt": ['{"a":1}']}),
        (b"{a=1", {"{a": ["1"]}),
    ],
)
async def test_a_form_stays_a_form(api: Api, body: bytes, expected: dict[str, list[str]]) -> None:
    assert (await post(api, body, FORM))[1]["values"] == expected


async def test_damaged_json_that_is_called_a_form_is_told_so(api: Api) -> None:
    status, answer = await post(api, b'{"prompt": "hi}', FORM)
    assert status == 400
    assert "not valid JSON" in answer["error"]
    assert "begins with a brace" in answer["error"]


async def test_what_is_neither_says_which_header_is_missing(api: Api) -> None:
    status, answer = await post(api, b"hello", {})
    assert status == 415
    assert "Content-Type: application/json" in answer["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"values": [], "files": 5}, '"files" of the JSON body must be a list'),
        ({"files": [], "values": {}}, '"values" of the JSON body must be a list'),
        ({"files": [None]}, 'Each of "files" must be an object'),
        ({"files": [{"data": 5}]}, '"data" of each of "files" must be a text'),
        ({"files": [{"data": "", "contentType": 5}]}, '"contentType" of each of "files" must be a text'),
        ({"files": [{"data": "", "name": [1]}]}, '"name" of each of "files" must be a text'),
        ({"files": [{"data": "", "filename": {}}]}, '"filename" of each of "files" must be a text'),
        ({"values": [{"key": 5, "value": "x"}]}, '"key" of each of "values" must be a text'),
        ({"values": ["x"]}, 'Each of "values" must be an object'),
    ],
)
async def test_a_field_of_the_wrong_type_is_named(api: Api, body: Any, says: str) -> None:
    status, answer = await post(api, json.dumps(body).encode(), JSON)
    assert status == 400
    assert says in answer["error"]


async def test_what_is_null_is_not_there(api: Api) -> None:
    body = {"values": None, "files": [{"data": None, "name": None, "filename": None, "contentType": None}]}
    assert (await post(api, json.dumps(body).encode(), JSON))[0] == 200


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000])
async def test_json_that_is_nested_too_deeply(api: Api, body: bytes) -> None:
    status, answer = await post(api, body, JSON)
    assert (status, answer["error"]) == (400, "The JSON body is nested too deeply.")


@pytest.mark.parametrize(
    "part",
    [
        b"no colon here\r\n\r\n1",
        b'Content-Disposition: form-data; name="' + b"a" * 20_000 + b'"\r\n\r\n1',
        b"".join(b"X-%d: 1\r\n" % number for number in range(3000)) + b"\r\n1",
        b"Content-Type: multipart/mixed\r\n\r\n1",
    ],
)
async def test_part_headers_that_are_bad_long_or_many(api: Api, part: bytes) -> None:
    status, answer = await post(api, b"--xx\r\n" + part + b"\r\n--xx--\r\n", MULTIPART)
    assert status == 400
    assert "multipart body" in answer["error"]
    assert len(answer["error"]) < 200


NO_NUMBERS = ["9" * 5000, "-1", "\u00b2", "\u0661", "\uff11", "x", "nan", "inf", "-inf", "1e3", "1_0", " 1", "0x1", ""]
"""What Python takes for a number is not what an address may call one."""


@pytest.mark.parametrize("number", NO_NUMBERS)
async def test_a_number_that_is_none_or_too_long(api: Api, number: str) -> None:
    for path, name in (
        ("/v1/log/list", "last_id"),
        ("/v1/log/list", "count"),
        ("/v1/commands", "offset"),
        ("/v1/commands", "limit"),
        ("/v1/commands/x/events", "after"),
        ("/v1/commands/x/events", "wait"),
    ):
        async with api[1].get(path, params={name: number}) as answer:
            assert answer.status == 400, (path, name)
            text = (await answer.json())["error"]
            assert name in text
            assert len(text) < 200


@pytest.mark.parametrize("number", [number for number in NO_NUMBERS if number.strip() == number != ""])
async def test_a_place_in_a_reply_that_is_no_number(api: Api, number: str) -> None:
    async with api[1].get("/v1/commands/x/events", headers={"Last-Event-ID": number}) as answer:
        assert answer.status == 400
        assert "Last-Event-ID" in (await answer.json())["error"]
    started = await post(api, b"", FORM, "/v1/demo/long")
    poll = urlencode({"commandId": started[1]["commandId"], "after": number})
    status, answered = await post(api, poll.encode(), FORM, "/v1/Demo/get_command_status")
    assert (status, "'after' must be" in answered["error"]) == (400, True)


@pytest.mark.skipif(sys.platform != "linux", reason="a file that is always full is Linux's")
async def test_an_upload_on_a_full_disk(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_folder, "uuid", SimpleNamespace(uuid4=lambda: uuid.UUID(int=0)))
    spool = tmp_path / "spool"
    await asyncio.to_thread(spool.mkdir, exist_ok=True)
    (spool / uuid.UUID(int=0).hex).symlink_to("/dev/full")
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(b"x" * 2_000_000), filename="a.jpg")
    async with api[1].post("/v1/demo/quick", data=form) as answer:
        assert answer.status == 507
        assert "No space left on device" in (await answer.json())["error"]
    assert not await asyncio.to_thread(lambda: list(spool.iterdir()))


async def test_an_upload_that_is_refused_leaves_no_file(api: Api, tmp_path: Path) -> None:
    form = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + b"x" * 2_000_000
    status, _ = await post(api, form + b"\r\n--xx\r\nno colon here\r\n\r\n1\r\n--xx--\r\n", MULTIPART)
    assert status == 400
    assert not await asyncio.to_thread(lambda: list((tmp_path / "spool").iterdir()))


@pytest.mark.parametrize("path", ["/v1/demo/quick", "/v1/status/ping", "/nothing/here"])
@pytest.mark.parametrize("expected", ["200-maybe", "\udced\udca0\udc80", ""])
async def test_what_cannot_be_expected_is_said_without_repeating_it(api: Api, path: str, expected: str) -> None:
    _, client = api
    async with client.get(path, headers={"Expect": expected}) as answer:
        if not expected:
            assert answer.status != 500
            return
        assert answer.status == 417
        assert "only 100-continue" in await answer.text()


@pytest.mark.parametrize("boundary", ["grüße", "中", "\udced\udca0\udc80", "a\udcff"])
async def test_a_boundary_may_be_any_bytes(boundary: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PARTS.replace(b"xx", boundary.encode("utf-8", "surrogateescape"))

    form = MultipartForm(f"multipart/form-data; boundary={boundary}", pieces(), body_limits(ServerSettings()))
    part = await form.next()
    assert part is not None
    assert part.name == "prompt"
    assert b"".join([piece async for piece in form.data()]) == b"hi"
