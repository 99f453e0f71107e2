"""The conversation of a request, whichever way it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llamachat.chat.conversation import build_conversation
from llamachat.engine.errors import RequestRefusedError


def said(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def test_a_prompt_alone() -> None:
    assert build_conversation("hi") == said(("user", "hi"))


def test_the_system_prompt_has_its_role_and_goes_first() -> None:
    messages = build_conversation("hi", system_prompt="be kind", history=[["a", "b"]])
    assert messages == said(("system", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "hi"))


@pytest.mark.parametrize(
    "history",
    [
        [["q", "a"]],
        [{"question": "q", "answer": "a"}],
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}],
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_every_form_of_history(history: Any, as_text: bool) -> None:
    messages = build_conversation("next", history=json.dumps(history) if as_text else history)
    assert messages == said(("user", "q"), ("assistant", "a"), ("user", "next"))


def test_messages_need_no_prompt_and_keep_their_own_system_prompt() -> None:
    messages = said(("system", "mine"), ("user", "hi"))
    assert build_conversation(messages=messages, system_prompt="other") == messages


def test_a_prompt_follows_messages() -> None:
    given = said(("user", "a"), ("assistant", "b"))
    assert build_conversation("c", messages=given) == [*given, {"role": "user", "content": "c"}]


def test_what_the_assistant_thought_is_kept_for_the_template() -> None:
    thinking = {"role": "assistant", "content": "b", "reasoning_content": "hm"}
    asking = {"role": "user", "content": "a", "reasoning_content": "no thought of a model"}
    messages = build_conversation("c", messages=[asking, thinking])
    assert messages == [*said(("user", "a")), thinking, *said(("user", "c"))]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"prompt": None}, "prompt is empty"),
        ({"prompt": " \n"}, "prompt is empty"),
        ({"prompt": "", "history": '[["a","b"]]'}, "prompt is empty"),
        ({"prompt": "x", "messages": "[{"}, "messages is not valid JSON"),
        ({"prompt": "x", "messages": '{"role": "user"}'}, "messages must be a JSON list"),
        ({"prompt": "x", "history": "5"}, "history must be a JSON list"),
        ({"prompt": "x", "history": '["q"]'}, r"history\[0\] must be"),
        ({"prompt": "x", "history": '[["q", 1]]'}, r"history\[0\] must be"),
        ({"messages": '[{"role": "robot", "content": "x"}]'}, r"messages\[0\].role must be one of"),
        ({"messages": '[{"role": "user", "content": 5}]'}, r"messages\[0\].content must be"),
        ({"messages": '[{"role": "user", "content": [{"type": "image_url"}]}]'}, "image_url"),
        ({"messages": '[{"role": "assistant", "reasoning_content": 5}]'}, r"messages\[0\].reasoning_content must be"),
        ({"messages": "[]"}, "messages must end with"),
        ({"messages": '[{"role": "assistant", "content": "x"}]'}, "messages must end with"),
        ({"messages": '[{"role": "system", "content": "x"}]'}, "messages must end with"),
        ({"prompt": "x", "messages": "[" * 100_000}, "messages is not valid JSON"),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestRefusedError, match=named):
        build_conversation(**arguments)
