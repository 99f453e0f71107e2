"""RequestData: what modules read a request with."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from codeproject_ai_sdk import RequestData
from codeproject_ai_sdk.inbox import Inbox
from codeproject_ai_sdk.protocol import Command, FileHeader, NamedValue
from msgspec import DecodeError

REQUEST = {
    "reqid": "id-1",
    "reqtype": "detect",
    "payload": {
        "command": "detect",
        "urlSegments": ["My-Model"],
        "values": [{"key": "min_confidence", "value": ["0.4", "0.9"]}, {"key": "empty", "value": []}],
        "files": [{"name": "image", "filename": "a.bin", "contentType": None, "data": "AAEC"}],
    },
}


def request_with(**values: Any) -> RequestData:
    data = RequestData()
    for key, value in values.items():
        data.add_value(key, value)
    return data


def test_a_request_of_the_queue_protocol_is_read() -> None:
    data = RequestData(json.dumps(REQUEST))
    assert (data.request_id, data.command_id, data.command) == ("id-1", "id-1", "detect")
    assert data.segments == ["My-Model"]
    assert data.get_value("min_confidence") == "0.4"
    assert data.get_value("Min_Confidence", "none") == "none"
    assert data.get_value("empty", "none") == "none"
    assert data.get_file_bytes(0) == b"\x00\x01\x02"
    assert data.files[0]["data"] == "AAEC"


@pytest.mark.parametrize(
    "text", ['{"reqid":"x","payload":null}', '{"reqid":"x","payload":{"values":null,"files":null}}']
)
def test_missing_parts_are_empty(text: str) -> None:
    data = RequestData(text)
    assert (data.value_list, data.files, data.segments, data.queue) == ([], [], [], "")


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a JSON object"):
        RequestData("[]")
    with pytest.raises(ValueError, match="Expecting value"):
        RequestData("nonsense")


def test_an_empty_request_serves_self_tests() -> None:
    data = RequestData()
    data.command = "detect"
    data.queue = "q"
    data.segments = ["s"]
    data.reply.write("works without a server")
    assert (data.request_id, data.command, data.queue, data.reply.text) == ("", "detect", "q", "works without a server")
    assert data.payload == {"command": "detect", "queue": "q", "urlSegments": ["s"]}
    assert data.get_file_bytes(0) is None
    assert data.get_image(0) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3), (" 3 ", 3), ("3.0", 3), (3, 3), (3.0, 3), ("3.5", -1), ("three", -1), ("", -1), (None, -1), ("nan", -1)],
)
def test_get_int(value: Any, expected: int) -> None:
    result = request_with(n=value).get_int("n", -1)
    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.5", 0.5), ("0,5", 0.5), ("1e3", 1000.0), (2, 2.0), ("inf", -1.0), ("1,000,000", -1.0), ("x", -1.0)],
)
def test_get_float(value: Any, expected: float) -> None:
    assert request_with(n=value).get_float("n", -1.0) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[("Yes", True), ("t", True), ("ON", True), ("1", True), ("0", False), ("no", False), ("", False)],
        *[(True, True), (False, False), (1, True), (0.0, False)],
    ],
)
def test_get_bool(value: Any, expected: bool) -> None:
    assert request_with(b=value).get_bool("b") is expected


def test_get_bool_default() -> None:
    assert request_with().get_bool("b") is None
    assert request_with().get_bool("b", True) is True


def test_large_integers_stay_exact() -> None:
    assert request_with(seed="9007199254740993").get_int("seed") == 9007199254740993


def test_files_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    data = RequestData()
    data.add_file(path)
    data.add_file(tmp_path / "missing")
    assert data.get_file_bytes(0) == b"content"
    assert data.get_file_bytes(1) is None
    assert data.files[1]["data"] is None
    assert RequestData.encode_file_contents(path) == base64.b64encode(b"content").decode()
    assert RequestData.encode_file_contents(tmp_path / "missing") is None


def test_json_gives_the_request_back() -> None:
    data = RequestData(json.dumps(REQUEST))
    assert json.loads(data.json()) == {**REQUEST, "reqid": ""}


def test_clamp_and_restrict() -> None:
    assert [RequestData.clamp(value, 1, 5) for value in (0, 3, 9)] == [1, 3, 5]
    assert [RequestData.restrict(value, ["a", "b"], "b") for value in ("a", "x")] == ["a", "b"]


@pytest.mark.parametrize(("module", "package"), [("pil", "Pillow"), ("opencv", "opencv")])
def test_an_image_without_its_library_says_what_to_install(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ImportError, match=package):
        RequestData(json.dumps(REQUEST)).get_image(0, module)


def test_a_command_of_the_channel_with_both_sorts_of_files(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"large")
    headers = [
        FileHeader("a", "a.bin", "x/y", 1, None),
        FileHeader("b", "b.bin", None, 5, str(large)),
        FileHeader("c", "c.bin", None, 1, None),
    ]
    inbox = Inbox()
    assert inbox.command(Command("c1", "go", [NamedValue("k", ["v"])], headers, ["s"])) is None
    assert inbox.file(b"A") is None
    data = inbox.file(b"C")
    assert data is not None
    assert [data.get_file_bytes(index) for index in range(4)] == [b"A", b"large", b"C", None]
    assert data.files[0]["contentType"] == "x/y"
    assert data.files[0].get("data") == "QQ=="
    assert (data.command_id, data.command, data.segments, data.get_value("k")) == ("c1", "go", ["s"], "v")
    assert data.payload["command"] == "go"


def test_frames_out_of_order_are_refused() -> None:
    inbox = Inbox()
    with pytest.raises(DecodeError):
        inbox.file(b"no command")
    command = Command("c1", "go", [], [FileHeader("a", "a", None, 1, None)], [])
    inbox.command(command)
    with pytest.raises(DecodeError):
        inbox.command(command)
