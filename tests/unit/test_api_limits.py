"""Every bound on what a request may hold refuses what is beyond it, in words and with its code, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.commands.command import Payload
from tests.support.api_server import ApiServer, Client, running_api

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}
GZIP = {"Content-Encoding": "gzip"}
END = b"--xx--\r\n"
Api = tuple[ApiServer, Client]


def part(name: str, data: bytes, more: str = "") -> bytes:
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


def seen(payload: Payload) -> dict[str, Any]:
    return {
        "values": {item.key: len(item.value) for item in payload.values},
        "files": [(file.name, file.filename, file.content_type, file.size) for file in payload.files],
    }


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    limits: dict[str, Any] = {
        "max_body_bytes": 3_000_000,
        "max_text_bytes": 1_000_000,
        "max_form_fields": 100,
        "max_json_items": 1000,
    }
    async with running_api(tmp_path, **limits) as (api, client), api.answering(seen):
        yield api, client


async def post(api: Api, data: bytes, headers: dict[str, str], path: str = "/v1/demo/quick") -> tuple[int, Any]:
    server, client = api
    async with client.post(path, data=io.BytesIO(data), headers=headers, skip_auto_headers=["Content-Type"]) as answer:
        found = answer.status, await answer.json()
    assert [entry.entry for entry in server.log.after(0, 100) if entry.level == "error"] == []
    return found


def object_of(keys: int) -> bytes:
    return json.dumps({"x": {f"k{number}": 1 for number in range(keys)}}).encode()


BEYOND = {
    "parts": (b"".join(part("a", b"1") for _ in range(101)) + END, MULTIPART, 413, "more than 100 fields"),
    "empty files": (
        b"".join(part("a", b"", '; filename="f"') for _ in range(101)) + END,
        MULTIPART,
        413,
        "more than 100 fields",
    ),
    "fields": (b"&".join(b"a=1" for _ in range(101)), FORM, 413, "more than 100 fields"),
    "top keys": (json.dumps({f"k{n}": 1 for n in range(101)}).encode(), JSON, 413, "more than 100 fields"),
    "values of the payload form": (
        json.dumps({"values": [{"key": "a", "value": ["x"] * 101}]}).encode(),
        JSON,
        413,
        "more than 100 fields",
    ),
    "keys": (object_of(1001), JSON, 413, "more than 1000 keys and elements"),
    "elements": (b'{"a":[' + b"1," * 1001 + b"1]}", JSON, 413, "more than 1000 keys and elements"),
    "depth": (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", JSON, 400, "nested too deeply"),
    "values together": (
        b"".join(part(f"a{n}", b"x" * 400_000) for n in range(3)) + END,
        MULTIPART,
        413,
        "larger than 1000000 bytes",
    ),
    "a form": (b"a=" + b"x" * 1_000_000, FORM, 413, "larger than 1000000 bytes"),
    "json": (b'{"a":"' + b"x" * 1_000_000 + b'"}', JSON, 413, "larger than 1000000 bytes"),
    "unpacked json": (gzip.compress(b" " * 1_000_001), {**JSON, **GZIP}, 413, "when it is unpacked"),
    "unpacked form": (
        gzip.compress(part("a", b"x" * 3_000_000, '; filename="f"') + END),
        {**MULTIPART, **GZIP},
        413,
        "when it is unpacked",
    ),
    "preamble": (b"x" * 500_000 + b"\r\n" + part("a", b"1") + END, MULTIPART, 400, "too much text outside"),
    "epilogue": (part("a", b"1") + END + b"x" * 500_000, MULTIPART, 400, "too much text outside"),
    "part headers": (
        b"--xx\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(17)) + b"\r\n1\r\n" + END,
        MULTIPART,
        400,
        "header count",
    ),
    "a part header": (b"--xx\r\nX: " + b"x" * 4097 + b"\r\n\r\n1\r\n" + END, MULTIPART, 400, "header length"),
    "a name": (part("n" * 1025, b"1") + END, MULTIPART, 400, "longer than 1024"),
    "a file name": (part("n", b"1", f'; filename="{"f" * 1025}"') + END, MULTIPART, 400, "longer than 1024"),
    "a key": (json.dumps({"k" * 1025: 1}).encode(), JSON, 400, "longer than 1024"),
    "a boundary": (b"", {"Content-Type": f"multipart/form-data; boundary={'x' * 71}"}, 400, "boundary of 1 to 70"),
}


@pytest.mark.parametrize("name", BEYOND)
async def test_what_is_beyond_a_bound_is_refused(api: Api, name: str) -> None:
    body, headers, status, says = BEYOND[name]
    got, answer = await post(api, body or b"x", headers)
    assert (got, answer["success"], answer["code"]) == (status, False, status)
    assert says in answer["error"]
    assert len(answer["error"]) < 250


async def test_too_many_fields_in_the_query(api: Api) -> None:
    assert (await post(api, b"", FORM, "/v1/demo/quick?" + "&".join(["a=1"] * 101)))[0] == 413
    assert (await post(api, b"", FORM, "/v1/demo/quick?" + "&".join(["a=1"] * 99)))[1]["values"] == {"a": 99}


WITHIN = {
    "parts": (b"".join(part("a", b"1") for _ in range(100)) + END, MULTIPART),
    "fields": (b"&".join(b"a=1" for _ in range(100)), FORM),
    "keys": (object_of(900), JSON),
    "commas in a text": (json.dumps({"a": "[{,:" * 5000 + '"\\' * 5000}).encode(), JSON),
    "depth": (b'{"a":' + b"[" * 99 + b"]" * 99 + b"}", JSON),
    "a form": (b"a=" + b"%41" * 300_000, FORM),
    "json": (b'{"a":"' + b"\\u0041" * 150_000 + b'"}', JSON),
    "text around the parts": (b"x" * 3000 + b"\r\n" + part("a", b"1") + END + b"x" * 900, MULTIPART),
}


@pytest.mark.parametrize("name", WITHIN)
async def test_what_is_within_the_bounds_is_read(api: Api, name: str) -> None:
    body, headers = WITHIN[name]
    got, answer = await post(api, body, headers)
    assert (got, answer["success"]) == (200, True), answer


async def test_a_part_of_a_type_that_is_no_text_is_a_file(api: Api) -> None:
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="image"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\r\n'
        b'--xx\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n1\r\n'
        b'--xx\r\nContent-Disposition: form-data; name="b"\r\nContent-Type: application/json\r\n\r\n{}\r\n'
    )
    answer = (await post(api, body + END, MULTIPART))[1]
    assert answer["files"] == [["image", "image", "image/jpeg", 3]]
    assert answer["values"] == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/octet-stream", "text/plain", "video/mp4", "application/pdf"]
)
async def test_a_bare_file_is_told_how_to_be_sent(api: Api, kind: str) -> None:
    status, answer = await post(api, b"\xff\xd8\xff\xe0", {"Content-Type": kind})
    assert status == 415
    assert "curl: -F image=@FILE" in answer["error"]


@pytest.mark.parametrize(
    ("header", "name", "filename"),
    [
        ('name="a"; filename="b.jpg"', "a", "b.jpg"),
        ("name=a; filename=b.jpg", "a", "b.jpg"),
        ('filename="b;c.jpg"; name="a"', "a", "b;c.jpg"),
        ('name="a"; filename="b\\"c.jpg"', "a", 'b"c.jpg'),
        ('name="a"; filename="b"c.jpg"', "a", 'b"c.jpg'),
        ("name=a; filename=b c.jpg", "a", "b c.jpg"),
        ('name="a"; filename="x.jpg"; filename*=utf-8\'\'gr%C3%BC%C3%9Fe.jpg', "a", "grüße.jpg"),
        ("name=a; filename=x.jpg; filename*=utf-8''%ff", "a", "x.jpg"),
        ("name=a; filename=x.jpg; filename*=zlib''%ff", "a", "x.jpg"),
        ('name="grüße"; filename=""', "grüße", ""),
        ('NAME="a" ; FileName="b"', "a", "b"),
        ('name="a"; name="z"; filename="b"', "a", "b"),
        ('filename="b"', "", "b"),
        ('name="a%22b"; filename="/b"', "a%22b", "b"),
    ],
)
async def test_names_are_read_as_clients_write_them(api: Api, header: str, name: str, filename: str) -> None:
    body = f"--xx\r\nContent-Disposition: form-data; {header}\r\n\r\nabc\r\n".encode() + END
    assert (await post(api, body, MULTIPART))[1]["files"] == [[name, filename, None, 3]]


async def test_a_form_is_the_same_however_its_bytes_arrive(api: Api) -> None:
    body = part("a", b"1\r\n--x") + part("image", b"\r\n--xx" * 0 + bytes(range(256)), '; filename="f"') + END
    head = b"POST /v1/demo/quick HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    reader, writer = await asyncio.open_connection(api[1].server.host, api[1].server.port)
    writer.write(head + b"Content-Type: multipart/form-data; boundary=xx\r\n\r\n")
    for byte in body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    answer = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
    writer.close()
    assert answer["values"] == {"a": 1}
    assert answer["files"] == [["image", "f", None, 256]]
