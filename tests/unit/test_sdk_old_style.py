"""What ``command_status()`` says becomes text and fields of the reply."""

from __future__ import annotations

import threading
from typing import Any

from codeproject_ai_sdk import Reply
from codeproject_ai_sdk.old_style import StatusFollower


class Module:
    """Says one thing after the other, and tells when all has been said."""

    def __init__(self, *sayings: Any) -> None:
        self.sayings = list(sayings)
        self.done = threading.Event()
        self.errors: list[Exception] = []

    def ask(self) -> Any:
        if not self.sayings:
            self.done.set()
            return None
        saying = self.sayings.pop(0)
        if isinstance(saying, Exception):
            raise saying
        return saying


def follow(*sayings: Any, output: dict[str, Any] | None = None) -> tuple[Reply, Module]:
    module, reply = Module(*sayings), Reply()
    follower = StatusFollower(module.ask, reply, lambda: False, module.errors.append)
    follower.start()
    assert module.done.wait(10)
    follower.finish(output)
    return reply, module


def test_a_growing_reply_becomes_text_and_the_rest_fields() -> None:
    reply, _ = follow({"reply": "a", "step": 1}, {"reply": "abc", "step": 2}, output={"reply": "abcd"})
    assert (reply.text, reply.fields) == ("abcd", {"step": 2})


def test_a_rewritten_reply_travels_as_a_field() -> None:
    reply, _ = follow({"reply": "abc"}, {"reply": "xyz"}, {"reply": "xyzw"})
    assert (reply.text, reply.fields) == ("abc", {"reply": "xyzw"})


def test_a_list_that_the_module_appends_to_is_seen_to_change() -> None:
    images: list[str] = ["one"]

    class Growing(Module):
        def ask(self) -> Any:
            images.append("more")
            return super().ask()

    module, reply = Growing({"images": images}, {"images": images}), Reply()
    follower = StatusFollower(module.ask, reply, lambda: False, module.errors.append)
    follower.start()
    assert module.done.wait(10)
    follower.finish(None)
    assert reply.fields["images"] == ["one", "more", "more"]


def test_mistakes_are_reported_once_and_the_rest_still_shows() -> None:
    reply, module = follow(RuntimeError("x"), {"bad": object(), "good": 1}, RuntimeError("y"), "no dict")
    assert reply.fields == {"good": 1}
    assert len(module.errors) == 1
