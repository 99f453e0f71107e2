"""What the modules do while the server starts, in lines for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from installer.http_client import HttpClient
from installer.module_states import ModuleStates, in_words, problems, settled, works
from tests.support.installing import captured
from tests.support.scripted_http import answering


def module(state: str, reason: str | None = None) -> dict[str, Any]:
    return {"moduleId": "Mine", "state": state, "stateReason": reason}


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("Ready", None, "Ready"),
        ("Installing", "Downloading numpy (15 MiB) …", "Downloading numpy (15 MiB) …"),
        ("Installing", None, "Installing"),
        ("Backoff", "exit code 1; it is started again in 4 s", "Waiting for its next start: exit code 1; it is"),
        ("Failed", "a comma is missing", "Does not work: a comma is missing"),
        ("Stopped", "AutoStart is false", "Stopped: AutoStart is false"),
        ("NotReady", "no model", "Cannot work yet: no model"),
    ],
)
def test_states_in_words(state: str, reason: str | None, words: str) -> None:
    assert in_words(module(state, reason)).startswith(words)


def test_which_states_last() -> None:
    names = ("Installing", "Starting", "Ready", "Busy", "NotReady", "Backoff", "Failed", "Stopping", "Stopped")
    assert [name for name in names if settled(module(name))] == ["Ready", "Busy", "NotReady", "Failed", "Stopped"]
    assert [name for name in names if works(module(name))] == ["Ready", "Busy"]


def test_every_module_that_does_not_work_is_named_with_its_reason() -> None:
    modules = {
        "Good": module("Ready"),
        "Off": module("Stopped", "AutoStart is false"),
        "Bad": module("Failed", "Correct the name."),
        "Dying": module("Backoff", "exit code 1"),
        "Slow": module("Installing", "building"),
        "Empty": module("NotReady", "no model"),
    }
    assert problems(modules) == [
        "Bad: Correct the name.",
        "Dying: exit code 1",
        "Empty: no model",
        "Slow: not ready yet (building)",
    ]


def test_changes_are_told_and_endless_tries_only_once(tmp_path: Path) -> None:
    looks = [
        module("Installing", "looking"),
        module("Installing", "looking"),
        module("Installing", "building"),
        module("Starting"),
        module("Backoff", "exit code 1; in 1 s"),
        module("Starting"),
        module("Backoff", "exit code 1; in 2 s"),
        module("Failed", "exit code 1, 5 times"),
    ]
    left = list(looks)
    progress, out = captured(tmp_path)
    with answering(lambda _path, _fields: {"success": True, "statuses": [left.pop(0)]}) as url:
        states = ModuleStates(HttpClient(url), progress, lambda _: True)
        for _ in looks:
            states.look()
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "Mine: looking",
        "Mine: building",
        "Mine: Starting",
        "Mine: Waiting for its next start: exit code 1; in 1 s",
        "Mine: Does not work: exit code 1, 5 times",
    ]


def test_a_server_that_does_not_answer_has_no_states(tmp_path: Path) -> None:
    progress, _ = captured(tmp_path)
    assert ModuleStates(HttpClient("http://127.0.0.1:9"), progress, lambda _: True).look() is None
