from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from installer import greeting
from installer.greeting import CutShortError, Greeting
from installer.http_client import HttpClient
from installer.progress import InstallError
from tests.support.installing import captured
from tests.support.scripted_http import Answer, answering


def states(*names: str, reason: str | None = None) -> Answer:
    """Each look at the module list finds LlamaChat in the next state; the last one stays."""
    left = list(names)

    def answer(path: str, _fields: dict[str, str]) -> dict[str, Any]:
        assert path == "/v1/module/list/status"
        state = left.pop(0) if len(left) > 1 else left[0]
        others = [{"moduleId": "Other", "state": "Failed"}]
        return {
            "success": True,
            "statuses": [*others, {"moduleId": "LlamaChat", "state": state, "stateReason": reason}],
        }

    return answer


def replies(*polls: dict[str, Any]) -> Answer:
    """A chat whose polls answer these, in order."""
    left = list(polls)

    def answer(path: str, fields: dict[str, str]) -> dict[str, Any]:
        if path == "/v1/text/chat":
            assert fields == {"prompt": greeting.PROMPT}
            return {"success": True, "commandId": "c-1", "commandStatus": "running"}
        assert path == "/v1/LlamaChat/get_command_status"
        assert fields == {"commandId": "c-1"}
        return left.pop(0)

    return answer


def running(reply: str) -> dict[str, Any]:
    return {"success": True, "commandStatus": "running", "reply": reply}


def greet(url: str, folder: Path, alive: bool = True) -> tuple[Greeting, Any]:
    progress, out = captured(folder)

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return alive

    return Greeting(HttpClient(url), progress, pause), out


def test_waits_until_ready_and_shows_each_state_once(tmp_path: Path) -> None:
    with answering(states("Installing", "Installing", "Starting", "Ready")) as url:
        hello, out = greet(url, tmp_path)
        assert hello.wait_until_ready()
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "LlamaChat: Installing",
        "LlamaChat: Starting",
        "LlamaChat: Ready",
    ]


def test_a_failed_module_ends_the_wait_with_its_reason(tmp_path: Path) -> None:
    with answering(states("Starting", "Failed", reason="The model file is missing.")) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(InstallError, match=r"Failed: The model file is missing\."):
            hello.wait_until_ready()


def test_a_module_that_somebody_has_stopped_is_not_an_error(tmp_path: Path) -> None:
    with answering(states("Stopped", reason="it is not started by itself")) as url:
        hello, out = greet(url, tmp_path)
        assert not hello.wait_until_ready()
    assert "LlamaChat: Stopped (it is not started by itself)" in out.getvalue()


@pytest.mark.parametrize(
    ("answer", "chats"),
    [
        (
            {"success": True, "models": [{"kind": "embedding", "loaded": True}, {"kind": "chat", "loaded": False}]},
            False,
        ),
        ({"success": True, "models": [{"kind": "embedding", "loaded": False}, {"kind": "chat", "loaded": True}]}, True),
        ({"success": False, "error": "There is no route '/v1/text/models'."}, True),
    ],
)
def test_an_embedding_model_is_not_asked_to_chat(tmp_path: Path, answer: dict[str, Any], chats: bool) -> None:
    with answering(lambda _path, _fields: answer) as url:
        hello, _ = greet(url, tmp_path)
        assert hello.can_chat() is chats


def test_a_module_that_gets_nowhere_ends_the_wait(tmp_path: Path) -> None:
    with answering(states("Backoff", reason="exit code 1")) as url:
        hello, out = greet(url, tmp_path)
        with pytest.raises(InstallError, match="not ready within 1 seconds; it is: Backoff"):
            hello.wait_until_ready(limit=1)
    assert "LlamaChat: Backoff (exit code 1)" in out.getvalue()


def test_a_server_without_the_module_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "_ABSENT_AFTER", 0.3)
    with answering(lambda _path, _fields: {"success": True, "statuses": []}) as url:
        hello, _ = greet(url, tmp_path)
        assert not hello.wait_until_ready()


def test_a_server_that_is_gone_cuts_the_wait_short(tmp_path: Path) -> None:
    hello, _ = greet("http://127.0.0.1:9", tmp_path, alive=False)
    with pytest.raises(CutShortError):
        hello.wait_until_ready()


def test_the_reply_is_printed_as_it_grows(tmp_path: Path) -> None:
    polls = [
        running(""),
        running("Mill"),
        running("Mill"),
        {**running("Millrace is\nhere."), "commandStatus": "completed"},
    ]
    with answering(replies(*polls)) as url:
        hello, out = greet(url, tmp_path)
        assert hello.chat() == "Millrace is\nhere."
    assert "LlamaChat: Millrace is\nhere.\n" in out.getvalue()


def test_a_chat_that_fails_says_why(tmp_path: Path) -> None:
    failed = {"success": False, "commandStatus": "completed", "error": "The model file is corrupt.", "reply": ""}
    with answering(replies(failed)) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(InstallError, match=r"The model file is corrupt\."):
            hello.chat()


def test_an_empty_reply_is_a_failure(tmp_path: Path) -> None:
    with answering(replies({**running(" \n"), "commandStatus": "completed"})) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(InstallError, match="without a word"):
            hello.chat()


def test_a_reply_that_stops_growing_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "_SILENCE", 0.3)
    with answering(replies(*[running("Mi")] * 1000)) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(InstallError, match="got stuck"):
            hello.chat()


def test_an_answer_that_is_not_json_is_told_in_words(tmp_path: Path) -> None:
    with answering(lambda _path, _fields: b"<html>proxy</html>") as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(InstallError, match="not JSON"):
            hello.chat()
