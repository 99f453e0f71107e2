"""What a process that polls may post: answers that are none, reports, polls for others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .bodies import body, one_line
from .chance import Chance
from .requests import COMMAND, query, spelled

SECRET = b"@@@the-secret-of-the-process-that-polls@@@"
"""Stands for what the process proves itself with."""


def queue_request(chance: Chance) -> bytes:
    """One request of such a process; where it holds ``COMMAND``, it answers what was taken from the queue."""
    return chance.choice(_KINDS)(chance)


def _answer(chance: Chance) -> bytes:
    output: dict[str, Any] = {"success": chance.once_in(2), "code": 200}
    for name in ("success", "command", "commandId", "commandStatus", "statusData", "inferenceDevice", "reply", "error"):
        if chance.once_in(4):
            output[name] = chance.choice((chance.value(2), "running", "completed", COMMAND.decode(), "cancel", "probe"))
    content = json.dumps(output).encode()
    if chance.once_in(3):
        content = chance.one_of(
            (
                lambda: chance.damaged(content),
                lambda: json.dumps(chance.value(3)).encode(),
                lambda: chance.bytes_of(70000),
                lambda: b"[" * 50000,
                lambda: b'{"success":true,"a":' * 2000,
            )
        )
    return _framed(b"POST /v1/queue/" + COMMAND, content, b"application/json")


def _stray(chance: Chance) -> bytes:
    fields, content = body(chance)
    kind = dict(fields).get(b"Content-Type", b"application/json")
    return _framed(b"POST " + spelled(chance, "/v1/queue/{command_id}"), content, kind)


def _report(chance: Chance) -> bytes:
    fields, content = body(chance)
    if chance.once_in(2):
        fields = [(b"Content-Type", b"application/x-www-form-urlencoded")]
        content = b"statusData=" + chance.encoded()
    path = b"POST /v1/queue/updatemodulestatus/" + chance.choice((b"Poller", b"poller", b"Puppet", b"nobody"))
    return _framed(path, content, dict(fields).get(b"Content-Type", b""))


def _poll(chance: Chance) -> bytes:
    """A poll that is not answered at once, or not at all: for a queue that is empty, or is another's."""
    return _framed(b"GET " + spelled(chance, "/v1/queue/{queue}") + query(chance), b"", b"")


def _log(chance: Chance) -> bytes:
    _, content = body(chance)
    text = b"&".join((b"entry=" + chance.encoded(), b"category=" + chance.encoded(), content))
    return _framed(b"POST /v1/log", text, b"application/x-www-form-urlencoded")


def _framed(line: bytes, content: bytes, kind: bytes) -> bytes:
    head = [line + b" HTTP/1.1", b"Host: localhost", b"X-Module-Secret: " + SECRET, b"Content-Type: " + one_line(kind)]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(content), b"", content])


_KINDS: list[Callable[[Chance], bytes]] = [*[_answer] * 20, *[_stray, _report, _log] * 6, _poll]
