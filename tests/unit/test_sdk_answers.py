"""Answers: whatever the module returned, the client gets a JSON object that says what happened."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from codeproject_ai_sdk.answers import Answers, cancelled, encode, encode_value, is_cancellation

ANSWERS = Answers("M", "A Module", lambda: "GPU")


class Number:
    """Like a number of a numeric library."""

    def item(self) -> float:
        return 0.5


class Array:
    """Like an array of a numeric library."""

    def tolist(self) -> list[int]:
        return [1, 2]


def test_the_trailer_follows_the_modules_own_keys() -> None:
    answer = ANSWERS.complete({"success": True, "count": 1, "code": 7}, "detect", "id-1")
    assert answer == {
        "success": True,
        "count": 1,
        "code": 200,
        "moduleId": "M",
        "moduleName": "A Module",
        "command": "detect",
        "requestId": "id-1",
        "inferenceDevice": "GPU",
    }
    assert list(answer)[:2] == ["success", "count"]
    assert ANSWERS.complete({"success": False}, "detect", "id-1")["code"] == 500


@pytest.mark.parametrize("outcome", [None, [1], "text", {"count": 1}])
def test_what_is_no_answer_becomes_a_clear_error(outcome: Any) -> None:
    answer = ANSWERS.of_process(outcome, "id-1")
    assert answer["success"] is False
    assert answer["error"].startswith("unable to process the request (#reqid id-1): process() returned")


def test_a_long_process_need_not_say_success() -> None:
    assert ANSWERS.of_long_process(None) == {"success": True}
    assert ANSWERS.of_long_process({"seed": 1}) == {"success": True, "seed": 1}
    assert ANSWERS.of_long_process({"success": False, "error": "x"}) == {"success": False, "error": "x"}
    assert ANSWERS.of_long_process([1])["success"] is False


def test_errors_tell_their_text() -> None:
    assert ANSWERS.of_error(ValueError("bad"), "id", long=True)["error"] == "bad"
    assert ANSWERS.of_error(ValueError(), "id", long=True)["error"] == "ValueError"
    assert "ValueError: bad" in ANSWERS.of_error(ValueError("bad"), "id", long=False)["error"]


def test_unserialisable_output_becomes_an_error_answer() -> None:
    answer, encoded = ANSWERS.encode({"success": True, "thing": object()}, "detect", "id-1")
    assert json.loads(encoded) == answer
    assert answer["success"] is False
    assert answer["requestId"] == "id-1"
    assert "cannot be written as JSON" in answer["error"]


def test_text_that_cannot_travel_becomes_an_error_answer() -> None:
    answer, encoded = ANSWERS.encode({"success": True, "text": "\ud83d"}, "detect", "id-1")
    assert json.loads(encoded) == answer
    assert answer["success"] is False


def test_an_error_whose_text_cannot_travel_still_says_what_it_was() -> None:
    for long in (True, False):
        failed = ANSWERS.of_error(FileNotFoundError("caf\udce9.jpg"), "id-1", long)
        answer, encoded = ANSWERS.encode(failed, "detect", "id-1")
        assert json.loads(encoded) == answer
        assert answer["error"].endswith("caf?.jpg")


class Stubborn:
    """A number whose library says why not, in text that cannot travel."""

    def item(self) -> float:
        raise ValueError("no number: \udce9")


def test_a_value_that_fails_with_odd_text_is_answered() -> None:
    answer, encoded = ANSWERS.encode({"success": True, "thing": Stubborn()}, "detect", "id-1")
    assert json.loads(encoded) == answer
    assert answer["error"].endswith("no number: ?")


def test_numbers_and_arrays_of_numeric_libraries_are_plain() -> None:
    assert encode({"a": Number(), "b": Array()}) == b'{"a":0.5,"b":[1,2]}'
    with pytest.raises(TypeError, match="'x' cannot"):
        encode_value("x", object())


def test_cancelled_answers() -> None:
    assert cancelled(long=True) == {"success": True, "stop_reason": "cancelled"}
    assert cancelled(long=False)["success"] is False
    assert is_cancellation(asyncio.CancelledError())
    assert not is_cancellation(ValueError())


def test_the_start_of_a_long_command() -> None:
    answer = ANSWERS.started("prompt", "id-1")
    assert answer["commandId"] == answer["requestId"] == "id-1"
    assert (answer["success"], answer["commandStatus"], answer["code"]) == (True, "running", 200)
