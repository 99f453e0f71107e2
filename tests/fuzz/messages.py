"""Messages of the channel, from a process that has proved itself: well formed, with values nobody expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .chance import Chance
from .requests import COMMAND

_WRONG_ONCE_IN = 150
"""Messages: after one that cannot be read, the process has to be started anew."""


def lines(chance: Chance) -> bytes:
    """One frame: a few messages, hardly ever one that cannot be read."""
    texts = [json.dumps(message(chance)).encode() for _ in range(chance.choice((1, 1, 2, 3, 8)))]
    if chance.once_in(_WRONG_ONCE_IN):
        texts.append(chance.damaged(chance.choice(texts)))
    return b"\n".join(texts)


def message(chance: Chance) -> dict[str, Any]:
    """One message, of any kind."""
    return chance.choice(_KINDS)(chance)


def _text(chance: Chance) -> str:
    return chance.word().encode("utf-8", "replace").decode()


def _command(chance: Chance) -> str:
    return _text(chance) if chance.once_in(8) else COMMAND.decode()


def _count(chance: Chance) -> int:
    return max(-(2**63), min(2**63 - 1, chance.number())) if chance.once_in(4) else chance.randrange(1, 5)


def _ready(chance: Chance) -> dict[str, Any]:
    ready: dict[str, Any] = {"type": "ready", "parallelism": 4, "long_parallelism": 4}
    if chance.once_in(4):
        ready[chance.choice(("parallelism", "long_parallelism"))] = _count(chance)
    if chance.once_in(4):
        ready.update(obstacle=_text(chance), passing=chance.once_in(2))
    return ready


def _started(chance: Chance) -> dict[str, Any]:
    return {"type": "started", "command_id": _command(chance), "inference_device": _text(chance)}


def _events(chance: Chance) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    for _ in range(chance.choice((0, 1, 1, 3, 50))):
        if chance.once_in(3):
            names = chance.choice((_text(chance), "success", "state", "commandStatus", "code", "reply", "commandId"))
            events.append({"type": "fields", "values": {names: chance.value(3)}})
        else:
            times = chance.choice((1, 1, 10)) if not chance.once_in(2000) else 10_000
            events.append({"type": "delta", "text": _text(chance) * times})
    return {"type": "events", "command_id": _command(chance), "first": _count(chance), "events": events}


def _result(chance: Chance) -> dict[str, Any]:
    output = {_text(chance): chance.value(3) for _ in range(chance.randrange(3))}
    for name in ("success", "code", "reply", "error", "commandStatus", "statusData", "predictions"):
        if chance.once_in(4):
            output[name] = chance.value(2)
    result: dict[str, Any] = {"type": "result", "command_id": _command(chance), "n": _count(chance)}
    result.update(success=chance.once_in(2), output=output)
    if chance.once_in(10):
        result["output"] = chance.value(1)
    if chance.once_in(5):
        result["unfinished"] = chance.once_in(2)
    return result


def _status(chance: Chance) -> dict[str, Any]:
    return {"type": "status", "data": {_text(chance): chance.value(3)}}


def _log(chance: Chance) -> dict[str, Any]:
    names = ("entry", "level", "category", "label")
    return {"type": "log", "entry": "e", **{name: _text(chance) for name in names if chance.once_in(2)}}


def _heartbeat(chance: Chance) -> dict[str, Any]:
    return {"type": "heartbeat", **({_text(chance): 1} if chance.once_in(5) else {})}


_KINDS: list[Callable[[Chance], dict[str, Any]]] = [
    _ready,
    _started,
    _started,
    _events,
    _events,
    _events,
    _result,
    _result,
    _status,
    _log,
    _heartbeat,
]
