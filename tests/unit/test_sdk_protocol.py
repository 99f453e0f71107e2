"""Every message of the channel as the bytes that travel: a change here is a new protocol version."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from codeproject_ai_sdk import protocol as p

TO_SERVER: list[tuple[p.ToServer, bytes]] = [
    (
        p.Hello(
            version=1,
            module_id="M",
            launch_id="L",
            secret="s",
            pid=7,
            sdk="0.1.0",
            parallelism=4,
            long_parallelism=2,
            resumes=[p.Resume("c1", 3)],
        ),
        b'{"type":"hello","version":1,"module_id":"M","launch_id":"L","secret":"s","pid":7,"sdk":"0.1.0",'
        b'"parallelism":4,"long_parallelism":2,"resumes":[{"command_id":"c1","last":3}]}',
    ),
    (
        p.Hello(1, "M", "L", "s", 7, "0.1.0", 4, 2, marks_unfinished=True),
        b'{"type":"hello","version":1,"module_id":"M","launch_id":"L","secret":"s","pid":7,"sdk":"0.1.0",'
        b'"parallelism":4,"long_parallelism":2,"marks_unfinished":true}',
    ),
    (p.Ready(4, 2), b'{"type":"ready","parallelism":4,"long_parallelism":2}'),
    (p.Started("c1", "GPU"), b'{"type":"started","command_id":"c1","inference_device":"GPU"}'),
    (
        p.Events("c1", 5, [p.Delta("h\u00e9"), p.Fields({"step": 1})]),
        '{"type":"events","command_id":"c1","first":5,"events":[{"type":"delta","text":"h\u00e9"},'
        '{"type":"fields","values":{"step":1}}]}'.encode(),
    ),
    (
        p.Result("c1", 7, True, msgspec.Raw(b'{"success":true, "a":1.50}')),
        b'{"type":"result","command_id":"c1","n":7,"success":true,"output":{"success":true, "a":1.50}}',
    ),
    (
        p.Result("c1", 7, True, msgspec.Raw(b'{"success":true}'), unfinished=True),
        b'{"type":"result","command_id":"c1","n":7,"success":true,"output":{"success":true},"unfinished":true}',
    ),
    (p.Status(msgspec.Raw(b'{"canUseGPU":false}')), b'{"type":"status","data":{"canUseGPU":false}}'),
    (
        p.Log("text", "error", "M", "l"),
        b'{"type":"log","entry":"text","level":"error","category":"M","label":"l"}',
    ),
    (p.Heartbeat(), b'{"type":"heartbeat"}'),
]

TO_MODULE: list[tuple[p.ToModule, bytes]] = [
    (
        p.Welcome(1, [p.Resume("c1", 3)]),
        b'{"type":"welcome","version":1,"known":[{"command_id":"c1","last":3}]}',
    ),
    (p.Refused("no"), b'{"type":"refused","reason":"no"}'),
    (
        p.Command(
            "c1",
            "prompt",
            [p.NamedValue("a", ["1", "2"])],
            [p.FileHeader("image", "a.jpg", "image/jpeg", 3, None), p.FileHeader("b", "b", None, 9, "/tmp/b")],
            ["x"],
        ),
        b'{"type":"command","command_id":"c1","name":"prompt","values":[{"key":"a","value":["1","2"]}],'
        b'"files":[{"name":"image","filename":"a.jpg","content_type":"image/jpeg","size":3,"path":null},'
        b'{"name":"b","filename":"b","content_type":null,"size":9,"path":"/tmp/b"}],"segments":["x"]}',
    ),
    (p.Cancel("c1"), b'{"type":"cancel","command_id":"c1"}'),
    (p.Ack("c1", 7), b'{"type":"ack","command_id":"c1","n":7}'),
    (p.Quit(), b'{"type":"quit"}'),
]


@pytest.mark.parametrize(("message", "frame"), TO_SERVER, ids=lambda value: type(value).__name__)
def test_a_message_to_the_server_is_these_bytes(message: p.ToServer, frame: bytes) -> None:
    assert p.encode(message) == frame
    assert p.encode(p.decode_to_server(frame)) == frame
    assert type(p.decode_to_server(frame)) is type(message)


@pytest.mark.parametrize(("message", "frame"), TO_MODULE, ids=lambda value: type(value).__name__)
def test_a_message_to_the_module_is_these_bytes(message: p.ToModule, frame: bytes) -> None:
    assert p.encode(message) == frame
    assert p.decode_to_module(frame.decode()) == message


def test_every_message_has_golden_bytes() -> None:
    assert {type(message) for message, _ in TO_SERVER} == set(get_args(p.ToServer))
    assert {type(message) for message, _ in TO_MODULE} == set(get_args(p.ToModule))


@pytest.mark.parametrize("frame", [b"", b"null", b"[]", b"{}", b'{"type":"nonsense"}', b'{"type":"ack"}', b"\xff"])
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        p.decode_to_module(frame)
    with pytest.raises(msgspec.DecodeError):
        p.decode_to_server(frame)


def test_unknown_keys_of_a_later_version_are_ignored() -> None:
    assert p.decode_to_module(b'{"type":"ack","command_id":"c","n":1,"later":true}') == p.Ack("c", 1)
