"""Which place in its own program a process that failed is shown with, and what to do about an end."""

from __future__ import annotations

import pytest

from server.hosting.process.exit_hints import exit_hint, silent_hint
from server.hosting.process.failure_place import FailurePlace

HEAD = "Traceback (most recent call last):"
OWN = '  File "/modules/Shout/shout.py", line 3, in <module>'
HELPER = '  File "/modules/Shout/helpers/words.py", line 12, in words'
FOREIGN = '  File "/env/lib/python3.11/site-packages/numpy/core.py", line 99, in load'
SDK = '  File "/opt/millrace/sdk/codeproject_ai_sdk/calls.py", line 9, in invoke'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([HEAD, OWN, "    import x", "ModuleNotFoundError: no"], "/modules/Shout/shout.py, line 3"),
        ([HEAD, SDK, OWN, HELPER, FOREIGN, "ValueError: no"], "/modules/Shout/helpers/words.py, line 12"),
        ([HEAD, FOREIGN, SDK, "ValueError: no"], "/opt/millrace/sdk/codeproject_ai_sdk/calls.py, line 9"),
        (['  File "C:\\\\m\\\\s.py", line 7', "    def f(", "         ^", "SyntaxError: x"], "C:\\\\m\\\\s.py, line 7"),
        ([HEAD, OWN, "ValueError: no", "critical: leaving"], ""),
        (["critical: leaving"], ""),
        (
            [HEAD, OWN, "A: a", "", "During the handling …", "", HEAD, HELPER, "B: b"],
            HELPER.split('"')[1] + ", line 12",
        ),
    ],
)
def test_the_place_is_the_last_one_of_its_own(lines: list[str], expected: str) -> None:
    place = FailurePlace()
    for line in lines:
        place.line(line)
    assert place.text == expected


@pytest.mark.parametrize(
    ("code", "error", "serving", "python", "expected"),
    [
        (0, "", False, True, "start_loop()"),
        (0, "", True, True, ""),
        (0, "", False, False, ""),
        (-11, "", False, True, ""),
        (1, "ModuleNotFoundError: No module named 'x' (a.py, line 1)", False, True, "requirements.txt"),
        (1, "SyntaxError: '(' was never closed (a.py, line 1)", False, True, "correct the program there"),
        (1, "something else", True, True, "its log tells more"),
    ],
)
def test_an_end_comes_with_what_to_do(code: int, error: str, serving: bool, python: bool, expected: str) -> None:
    hint = exit_hint(code, error, serving, python)
    assert expected in hint
    assert bool(hint) == bool(expected)


def test_a_silent_process_may_not_have_reached_its_loop() -> None:
    assert "start_loop()" in silent_hint(True)
    assert "start_loop()" not in silent_hint(False)
