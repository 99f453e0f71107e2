from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from installer import greeting
from installer.greeting import Greeting, GreetingError
from installer.http_client import HttpClient
from installer.module_states import CutShortError, ModuleStates
from tests.support.installing import captured
from tests.support.scripted_http import Answer, answering


def states(*names: str, reason: str | None = None, data: dict[str, Any] | None = None) -> Answer:
    """Each look at the module list finds LlamaChat in the next state; the last one stays."""
    left = list(names)

    def answer(path: str, _fields: dict[str, str]) -> dict[str, Any]:
        assert path == "/v1/module/list/status"
        state = left.pop(0) if len(left) > 1 else left[0]
        module = {"moduleId": "LlamaChat", "state": state, "stateReason": reason, "statusData": data}
        return {"success": True, "statuses": [module]}

    return answer


def replies(*polls: dict[str, Any]) -> Answer:
    """A chat whose polls answer these, in order."""
    left = list(polls)

    def answer(path: str, fields: dict[str, str]) -> dict[str, Any]:
        if path == "/v1/text/chat":
            assert fields["prompt"] == greeting.PROMPT
            assert int(fields["max_tokens"]) <= 100
            return {"success": True, "commandId": "c-1", "commandStatus": "running"}
        if path == "/v1/LlamaChat/cancel_command":
            cancelled.append(fields["commandId"])
            return {"success": True}
        assert path == "/v1/LlamaChat/get_command_status"
        assert fields == {"commandId": "c-1"}
        return left.pop(0)

    cancelled.clear()
    return answer


cancelled: list[str] = []


def running(reply: str) -> dict[str, Any]:
    return {"success": True, "commandStatus": "running", "reply": reply}


def greet(url: str, folder: Path, alive: bool = True) -> tuple[Greeting, Any]:
    progress, out = captured(folder)

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return alive

    client = HttpClient(url)
    return Greeting(client, progress, ModuleStates(client, progress, pause)), out


def test_waits_until_ready_and_shows_each_state_once(tmp_path: Path) -> None:
    with answering(states("Installing", "Installing", "Starting", "Ready")) as url:
        hello, out = greet(url, tmp_path)
        assert hello.wait_until_ready()
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "LlamaChat: Installing",
        "LlamaChat: Starting",
        "LlamaChat: Ready",
    ]


@pytest.mark.parametrize("state", ["Failed", "Stopped"])
def test_a_module_that_will_not_run_ends_the_wait_with_its_reason(tmp_path: Path, state: str) -> None:
    with answering(states("Starting", state, reason="somebody wants it so")) as url:
        hello, out = greet(url, tmp_path)
        assert not hello.wait_until_ready()
    assert "somebody wants it so" in out.getvalue()


def test_a_module_that_says_that_it_cannot_work_is_believed(tmp_path: Path) -> None:
    with answering(states("Starting", "NotReady", reason="Its model is damaged.")) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match=r"no model to chat with\. Its model is damaged\."):
            hello.wait_until_ready()


@pytest.mark.parametrize("state", ["Ready", "Starting"])
def test_without_a_model_the_wait_ends_with_what_the_module_says(tmp_path: Path, state: str) -> None:
    data = {"modelLoaded": False, "error": "There is no model file a.gguf."}
    with answering(states(state, data=data)) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match=r"no model to chat with\. There is no model file a\.gguf\."):
            hello.wait_until_ready()


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def test_a_model_on_its_way_is_waited_for(tmp_path: Path) -> None:
    download = {"file": "a.gguf", "bytes": 30, "totalBytes": 120}
    data = {"modelLoaded": False, "error": None, "download": download}
    with answering(states("Ready", data=data)) as url:
        progress, out = captured(tmp_path)
        client = HttpClient(url)
        looks = ModuleStates(client, progress, _pause, heartbeat=0.2)
        with pytest.raises(GreetingError, match="not ready within"):
            Greeting(client, progress, looks).wait_until_ready(limit=1)
    assert "still waiting for its model, a.gguf, of which 25 % are here, after" in out.getvalue()


def models(**loaded: Any) -> dict[str, Any]:
    return {"success": True, "models": [{"kind": "chat", "file": "other.gguf", "loaded": False}, loaded]}


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        (models(kind="embedding", file="e.gguf", loaded=True), None),
        (models(kind="reranking", file="r.gguf", loaded=True), None),
        (models(kind="chat", file="c.gguf", loaded=False), None),
        (models(kind="chat", file=greeting.BUILT_IN_MODEL, loaded=True), greeting.PROMPT),
        (models(kind="chat", file="mine.gguf", loaded=True), greeting.OTHER_PROMPT),
        ({"success": False, "error": "There is no route '/v1/text/models'."}, greeting.OTHER_PROMPT),
    ],
)
def test_a_model_is_asked_what_it_can_answer(tmp_path: Path, answer: dict[str, Any], prompt: str | None) -> None:
    with answering(lambda _path, _fields: answer) as url:
        hello, _ = greet(url, tmp_path)
        assert hello.prompt() == prompt
    assert "Millrace" not in greeting.OTHER_PROMPT


def test_a_module_that_gets_nowhere_ends_the_wait(tmp_path: Path) -> None:
    with answering(states("Backoff", reason="exit code 1")) as url:
        hello, out = greet(url, tmp_path)
        with pytest.raises(GreetingError, match=r"not ready within 1\.0 s\. It goes on"):
            hello.wait_until_ready(limit=1)
    assert "LlamaChat: Waiting for its next start: exit code 1" in out.getvalue()


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
        assert hello.chat(greeting.PROMPT) == "Millrace is\nhere."
    assert "LlamaChat: Millrace is\nhere.\n" in out.getvalue()
    assert cancelled == []


def test_a_model_may_spend_its_few_words_on_thinking(tmp_path: Path) -> None:
    with answering(replies({**running(""), "commandStatus": "completed", "reasoning": "Let me see"})) as url:
        hello, out = greet(url, tmp_path)
        hello.chat(greeting.PROMPT)
    assert "thought about it" in out.getvalue()


def test_a_chat_that_fails_says_why(tmp_path: Path) -> None:
    failed = {"success": False, "commandStatus": "completed", "error": "The model file is corrupt.", "reply": ""}
    with answering(replies(failed)) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match=r"The model file is corrupt\."):
            hello.chat(greeting.PROMPT)


def test_an_empty_reply_is_a_failure(tmp_path: Path) -> None:
    with answering(replies({**running(" \n"), "commandStatus": "completed"})) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match="without a word"):
            hello.chat(greeting.PROMPT)


@pytest.mark.parametrize("limit", ["_SILENCE", "_LONGEST"])
def test_a_reply_without_end_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(greeting, limit, 0.3)
    with answering(replies(*[running("Mi")] * 1000)) as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match="got stuck"):
            hello.chat(greeting.PROMPT)
    assert cancelled == ["c-1"]


def test_an_answer_that_is_not_json_is_told_in_words(tmp_path: Path) -> None:
    with answering(lambda _path, _fields: b"<html>proxy</html>") as url:
        hello, _ = greet(url, tmp_path)
        with pytest.raises(GreetingError, match="not JSON"):
            hello.chat(greeting.PROMPT)
