"""The events of one command, numbered, merged, acknowledged and sent again."""

from __future__ import annotations

import threading

import msgspec
from codeproject_ai_sdk.outbox import BATCH, Outbox
from codeproject_ai_sdk.protocol import Delta, Events, Fields, Result
from hypothesis import given
from hypothesis import strategies as st


def outbox(limit: int = 1 << 20) -> tuple[Outbox, list[Outbox]]:
    marked: list[Outbox] = []
    return Outbox("c1", marked.append, limit), marked


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def test_waiting_deltas_become_one_event() -> None:
    box, marked = outbox()
    for word in ("a", "b", "c"):
        box.delta(word)
    assert box.take() == [Events("c1", 1, [Delta("abc")])]
    assert marked == [box]


def test_what_was_handed_out_does_not_change() -> None:
    box, marked = outbox()
    box.delta("a")
    box.take()
    box.delta("b")
    assert box.take() == [Events("c1", 2, [Delta("b")])]
    assert marked == [box, box]


def test_fields_merge_and_keep_their_place_between_deltas() -> None:
    box, _ = outbox()
    box.delta("a")
    box.fields({"step": raw("1"), "x": raw("true")})
    box.fields({"step": raw("2")})
    box.delta("b")
    [events] = box.take()
    assert isinstance(events, Events)
    assert events == Events("c1", 1, [Delta("a"), Fields({"step": raw("2"), "x": raw("true")}), Delta("b")])


def test_the_result_is_numbered_after_the_events_and_ends_them() -> None:
    box, _ = outbox()
    box.delta("a")
    box.result(True, b"{}")
    box.delta("too late")
    box.result(False, b"{}")
    assert box.take() == [Events("c1", 1, [Delta("a")]), Result("c1", 2, True, raw("{}"))]
    assert not box.done
    box.acknowledge(2)
    assert box.done


def test_after_a_reconnect_only_what_the_server_lacks_is_sent() -> None:
    box, marked = outbox()
    for word in ("a", "b", "c"):
        box.delta(word)
        box.take()
    box.resend_after(1)
    assert marked[-1] is box
    assert box.take() == [Events("c1", 2, [Delta("b"), Delta("c")])]


def test_text_after_a_reconnect_does_not_join_an_event_that_was_once_sent() -> None:
    box, _ = outbox()
    box.delta("a")
    box.take()
    box.resend_after(0)
    box.delta("b")
    assert box.take() == [Events("c1", 1, [Delta("a"), Delta("b")])]


def test_a_batch_is_bounded_and_the_rest_follows() -> None:
    box, marked = outbox(1 << 30)
    for _ in range(5):
        box.delta("x" * BATCH)
    sizes = []
    while marked:
        marked.pop()
        for message in box.take():
            assert isinstance(message, Events)
            sizes.append(sum(len(event.text) for event in message.events if isinstance(event, Delta)))
    assert sizes == [BATCH] * 5


def test_a_writer_waits_while_too_much_is_unacknowledged() -> None:
    box, _ = outbox(limit=100)
    box.delta("x" * 100)
    box.take()
    entered, through = threading.Event(), threading.Event()

    def write() -> None:
        entered.set()
        box.wait_for_room()
        through.set()

    thread = threading.Thread(target=write)
    thread.start()
    entered.wait()
    assert not through.wait(0.05)
    box.acknowledge(1)
    thread.join(10)
    assert through.is_set()


def test_a_cancelled_or_abandoned_command_lets_its_writer_go() -> None:
    for free in (Outbox.release, Outbox.abandon):
        box, _ = outbox(limit=1)
        box.delta("xx")
        thread = threading.Thread(target=box.wait_for_room)
        thread.start()
        free(box)
        thread.join(10)
        assert not thread.is_alive()


def test_an_abandoned_command_says_nothing_more() -> None:
    box, _ = outbox()
    box.delta("a")
    box.abandon()
    box.delta("b")
    box.result(True, b"{}")
    assert box.take() == []
    assert box.done


class Server:
    """What the other end would have."""

    def __init__(self) -> None:
        self.events: dict[int, object] = {}
        self.last = 0

    def hear(self, messages: list[Events | Result]) -> None:
        for message in messages:
            numbered: list[tuple[int, object]]
            if isinstance(message, Events):
                numbered = list(enumerate(message.events, message.first))
            else:
                numbered = [(message.n, message)]
            for n, event in numbered:
                if n > self.last:
                    assert n == self.last + 1
                    self.events[n], self.last = event, n


STEPS = st.lists(
    st.one_of(
        st.text("abc", min_size=1, max_size=3).map(lambda text: ("write", text)),
        st.sampled_from([("send", ""), ("lose", ""), ("ack", ""), ("reconnect", "")]),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_is_lost_the_server_ends_with_each_event_once(steps: list[tuple[str, str]]) -> None:
    box, _ = outbox()
    server, written = Server(), ""
    for step, text in steps:
        if step == "write":
            box.delta(text)
            written += text
        elif step == "send":
            server.hear(box.take())
        elif step == "lose":
            box.take()
            box.resend_after(server.last)
        elif step == "ack":
            box.acknowledge(server.last)
        else:
            box.resend_after(server.last)
    box.result(True, b"{}")
    server.hear(box.take())
    texts = [event.text for event in server.events.values() if isinstance(event, Delta)]
    assert "".join(texts) == written
    assert isinstance(server.events[server.last], Result)
