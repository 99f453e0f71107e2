"""The JSON objects that answer a command: made whole, checked and encoded here. No I/O."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import msgspec

from . import protocol
from .common import JSON
from .texts import encodable

CANCELLED_TEXT = "The command was cancelled"
UNFINISHED_TEXT = "The module was stopped before this was finished. Send it again."


def _plain(value: object) -> object:
    """Turn what numeric libraries return into plain values; anything else is the caller's mistake."""
    for name in ("tolist", "item"):
        convert = getattr(value, name, None)
        if callable(convert):
            return convert()
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def encode_value(name: str, value: object) -> msgspec.Raw:
    """Return a value as JSON. Raises TypeError naming it when that cannot be done."""
    try:
        return msgspec.Raw(_encoder.encode(value))
    except Exception as error:
        raise TypeError(f"'{name}' cannot be written as JSON: {error}") from error


def failure(text: str) -> JSON:
    """Return a failed answer without the trailer."""
    return {"success": False, "error": encodable(text)}  # the text may come from file names


def cancelled(long: bool) -> JSON:
    """Return the answer of a command that was stopped before it gave one.

    A long command keeps what it has written so far, so that counts as a success, as for any cancelled chat.
    """
    if long:
        return {"success": True, "stop_reason": "cancelled"}
    return {**failure(CANCELLED_TEXT), "stop_reason": "cancelled"}


def is_cancellation(error: BaseException) -> bool:
    """Return whether an exception only says that a coroutine was cancelled."""
    return isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError)


class Answers:
    """Makes complete answers in the name of one module."""

    def __init__(self, module_id: str, module_name: str, device: Callable[[], str]) -> None:
        """``device`` tells what the module runs on at the moment, e.g. ``CPU``."""
        self._module_id = module_id
        self._module_name = module_name
        self._device = device

    def of_process(self, outcome: object, command_id: str) -> JSON:
        """Return the answer for what ``process()`` returned; a clear error for what is no answer."""
        if not isinstance(outcome, dict):
            returned = "nothing" if outcome is None else f"a value of type {type(outcome).__name__}"
            return failure(self._unable(command_id, f"process() returned {returned}"))
        if "success" not in outcome:
            return failure(self._unable(command_id, "process() returned an object without 'success'"))
        return outcome

    def of_long_process(self, outcome: object) -> JSON:
        """Return the final answer for what a long process returned. Success unless it says otherwise."""
        if outcome is None:
            return {"success": True}
        if not isinstance(outcome, dict):
            return failure(f"The long process returned a value of type {type(outcome).__name__}")
        return outcome if "success" in outcome else {"success": True, **outcome}

    def of_error(self, error: BaseException, command_id: str, long: bool) -> JSON:
        """Return the answer for an exception out of the module's code."""
        if long:
            return failure(str(error) or type(error).__name__)
        return failure(self._unable(command_id, f"{type(error).__name__}: {error}"))

    def started(self, command: str, command_id: str) -> JSON:
        """Return the complete answer that tells of a long command's start."""
        output = {
            "success": True,
            "message": "Command is running in the background",
            "commandId": command_id,
            "commandStatus": "running",
        }
        return self.complete(output, command, command_id)

    def complete(self, output: JSON, command: str, command_id: str) -> JSON:
        """Return the answer with the trailer that every answer of a module has."""
        return {
            **output,
            "moduleId": self._module_id,
            "moduleName": self._module_name,
            "code": 200 if output.get("success") else 500,
            "command": command,
            "requestId": command_id,
            "inferenceDevice": self._device(),
        }

    def encode(
        self, answer: JSON, command: str, command_id: str, most: int = protocol.MAX_MESSAGE
    ) -> tuple[JSON, bytes]:
        """Return a complete answer and its JSON; an error answer when it cannot be written or sent (``most`` bytes)."""
        try:
            encoded = _encoder.encode(answer)
            if len(encoded) <= most:
                return answer, encoded
            why = f"the answer is too long: {len(encoded)} bytes, and the most is {most}"
        except Exception as error:
            why = f"the answer cannot be written as JSON: {error}"
        answer = self.complete(failure(self._unable(command_id, why)), command, command_id)
        return answer, _encoder.encode(answer)

    @staticmethod
    def _unable(command_id: str, why: str) -> str:
        return f"unable to process the request (#reqid {command_id}): {why}"


def encode(value: Any) -> bytes:
    """Return any JSON value as bytes. Raises TypeError when it cannot be written."""
    return bytes(encode_value("value", value))
