"""data.reply: what a long process writes into."""

from __future__ import annotations

import threading

import pytest
from codeproject_ai_sdk import Reply
from codeproject_ai_sdk.outbox import Outbox
from codeproject_ai_sdk.protocol import Delta, Events


def test_text_and_fields_grow() -> None:
    reply = Reply()
    reply.write("a")
    reply.write("")
    reply.write("b")
    reply.update(step=1, images=["x"])
    reply.update(step=2, self="fine")
    assert reply.text == "ab"
    assert reply.fields == {"step": 2, "images": ["x"], "self": "fine"}


def test_a_field_is_kept_as_it_was() -> None:
    reply, values = Reply(), [1]
    reply.update(values=values)
    values.append(2)
    assert reply.fields == {"values": [1]}


def test_mistakes_are_the_writers_to_see() -> None:
    reply = Reply()
    with pytest.raises(TypeError, match="needs a string, not int"):
        reply.write(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'thing' cannot be written as JSON"):
        reply.update(thing=object())
    assert (reply.text, reply.fields) == ("", {})


def test_half_a_surrogate_pair_does_not_end_the_reply() -> None:
    reply = Reply()
    reply.write("a\ud83d")
    reply.write("\U0001f600")
    assert reply.text == "a?\U0001f600"


def test_cancel() -> None:
    reply = Reply()
    assert not reply.cancelled
    reply.request_cancel()
    assert reply.cancelled


def test_many_threads_lose_and_mix_nothing() -> None:
    outbox = Outbox("c1", lambda _: None)
    reply = Reply(outbox)

    def write(letter: str) -> None:
        for _ in range(500):
            reply.write(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    sent = ""
    while any(thread.is_alive() for thread in threads) or (outbox.last > 0 and len(sent) < 2000):
        for message in outbox.take():
            assert isinstance(message, Events)
            sent += "".join(event.text for event in message.events if isinstance(event, Delta))
    assert sent == reply.text
    assert sorted(sent) == sorted("abcd" * 500)
