"""Every body a client sends becomes the payload a module expects, or a clear error."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.commands.command import Payload
from tests.support.api_server import ApiServer, Client, route, running_api

MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}


def echo(payload: Payload) -> dict[str, Any]:
    """What arrived, in a form that JSON can carry back."""
    return {
        "values": [[item.key, item.value] for item in payload.values],
        "files": [
            [f.name, f.filename, f.size, len(f.data or b"") if f.path is None else Path(f.path).stat().st_size]
            for f in payload.files
        ],
        "spooled": [f.path is not None for f in payload.files],
        "segments": payload.segments,
    }


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api(tmp_path, max_body_bytes=4_000_000) as (api, client), api.answering(echo):
        yield client


async def post(client: Client, path: str = "/v1/demo/quick", status: int = 200, **how: Any) -> Any:
    async with client.post(path, **how) as answer:
        assert answer.status == status, await answer.text()
        assert answer.headers["Content-Length"].isdigit()
        return await answer.json()


async def test_multipart_values_and_files_keep_their_order(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("prompt", "Grüße 🙂")
    form.add_field("upload", b"abc", filename="b.jpg")
    form.add_field("image7", b"defg", filename="a.jpg", content_type="image/jpeg")
    form.add_field("prompt", "again")
    body = await post(client, data=form)
    assert body["values"] == [["prompt", ["Grüße 🙂", "again"]]]
    assert body["files"] == [["upload", "b.jpg", 3, 3], ["image7", "a.jpg", 4, 4]]
    assert body["success"] is True
    assert isinstance(body["analysisRoundTripMs"], int)
    assert {"processedBy", "timestampUTC"} <= set(body)


async def test_a_large_file_travels_by_path(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(b"x" * 3_000_000), filename="big.jpg")
    body = await post(client, data=form)
    assert body["files"] == [["image", "big.jpg", 3_000_000, 3_000_000]]
    assert body["spooled"] == [True]


async def test_query_values_come_first_and_urlencoded_forms_work(client: Client) -> None:
    body = await post(client, "/v1/demo/quick?a=1&b=2", data={"a": "3", "empty": ""})
    assert body["values"] == [["a", ["1"]], ["b", ["2"]], ["a", ["3"]], ["empty", [""]]]


async def test_segments_follow_the_route_and_letter_case_of_the_route_does_not_matter(client: Client) -> None:
    assert (await post(client, "/V1/Demo/CUSTOM/My-Model/x/"))["segments"] == ["My-Model", "x"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("demo/quick/typo", "The nearest is '/v1/demo/quick' of the module Demo, which takes nothing after it"),
        ("demo/qiuck", "The nearest is '/v1/demo/quick' of the module Demo."),
        ("something/else", "GET /v1/module/list/running shows the routes"),
        ("x" * 3000, "GET /v1/module/list/running shows the routes"),
    ],
)
async def test_a_path_that_no_route_takes_is_no_success_of_another_one(
    client: Client, path: str, expected: str
) -> None:
    answer = await post(client, f"/v1/{path}", status=404)
    assert (answer["success"], answer["code"]) == (False, 404)
    assert f"There is no route '/v1/{path}'." in answer["error"]
    assert expected in answer["error"]


async def test_a_flat_json_object_becomes_values(client: Client) -> None:
    body = await post(client, json={"prompt": "hi", "n": 3, "yes": True, "messages": [{"a": 1}], "none": None})
    assert body["values"] == [["prompt", ["hi"]], ["n", ["3"]], ["yes", ["true"]], ["messages", ['[{"a":1}]']]]


async def test_the_payload_shape_of_the_reference_is_understood_in_any_letter_case(client: Client) -> None:
    data = base64.b64encode(b"abcde").decode()
    sent = {"Values": [{"Key": "a", "Value": ["1", "2"]}], "files": [{"name": "f", "filename": "g", "data": data}]}
    body = await post(client, json=sent)
    assert body["values"] == [["a", ["1", "2"]]]
    assert body["files"] == [["f", "g", 5, 5]]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"data": b"", "headers": MULTIPART},
        {"data": b"--xx--\r\n", "headers": MULTIPART},
        {"data": b"", "headers": {"Content-Type": "multipart/form-data"}},
        {"data": b"", "headers": {"Content-Type": "application/json"}},
        {"data": b"", "headers": {"Content-Type": "text/plain"}},
    ],
)
async def test_an_empty_body_reaches_the_module_as_an_empty_payload(client: Client, how: dict[str, Any]) -> None:
    body = await post(client, **how)
    assert (body["values"], body["files"]) == ([], [])


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not valid JSON"),
        ({"data": b"[1]", "headers": {"Content-Type": "application/json"}}, 400, "must be an object"),
        ({"data": b'{"a":"\xff"}', "headers": {"Content-Type": "application/json"}}, 400, "not UTF-8"),
        ({"data": b"a=%ff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400, "cannot be read"),
        ({"data": b"hello", "headers": {"Content-Type": "text/plain"}}, 415, "not understood"),
        ({"data": b"xx", "headers": {"Content-Type": "multipart/form-data"}}, 400, "cannot be read"),
        ({"data": b"no boundary here", "headers": MULTIPART}, 400, "cannot be read"),
        (
            {
                "data": b'--xx\r\nContent-Disposition: form-data; name="p"\r\n\r\n\xff\xfe\r\n--xx--\r\n',
                "headers": MULTIPART,
            },
            400,
            "'p' is not UTF-8",
        ),
        ({"json": {"files": [{"data": "???"}]}}, 400, "base64"),
        ({"data": io.BytesIO(b"x" * 5_000_000), "headers": {"Content-Type": "application/json"}}, 413, "larger than"),
    ],
)
async def test_a_body_that_cannot_be_read_gets_a_clear_error(
    client: Client, how: dict[str, Any], status: int, says: str
) -> None:
    body = await post(client, status=status, **how)
    assert body["success"] is False
    assert says in body["error"]
    assert (await post(client, data={"a": "1"}))["success"] is True


async def test_a_file_larger_than_the_limit_is_refused_while_it_arrives(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(b"x" * 6_000_000), filename="big.jpg")
    assert "larger than" in (await post(client, data=form, status=413))["error"]


async def test_the_longest_route_wins_and_an_unknown_one_is_404(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (api, client):
        assert isinstance(api, ApiServer)
        for path in ("/v1/demo", "/v1/demo/quicker", "/v1/nothing", "/v1/Other/get_command_status"):
            body = await post(client, path, status=404)
            assert body["success"] is False
            assert path in body["error"]
        async with client.get("/v1/demo/quick") as answer:
            assert (answer.status, (await answer.json())["success"]) == (405, False)


async def test_a_list_route_answers_get_too(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (api, client):
        api.routes.set_module("Demo", [route("demo/custom/list", "list")])
        async with api.answering(lambda payload: {"models": ["a"]}), client.get("/v1/demo/custom/list/") as answer:
            assert (answer.status, (await answer.json())["models"]) == (200, ["a"])


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/V1/"])
async def test_the_address_of_the_api_says_where_to_go_on(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        addresses = (await answer.json())["addresses"]
    async with client.get(addresses["ping"]) as answer:
        assert answer.status == 200


async def test_json_ends_its_line_and_is_as_long_as_said(client: Client) -> None:
    for call in (client.get("/v1/status/ping"), client.post("/v1/demo/quick", data={"a": "b"}), client.get("/v1/none")):
        async with call as answer:
            body = await answer.read()
            assert body.endswith(b"}\n")
            assert int(answer.headers["Content-Length"]) == len(body)
