"""What waits to be sent, and in which order it leaves."""

from __future__ import annotations

import msgspec
from codeproject_ai_sdk.mailbox import MAX_LOGS, Mailbox
from codeproject_ai_sdk.outbox import Outbox
from codeproject_ai_sdk.protocol import Delta, Events, Heartbeat, Log, Ready, Status


def mailbox() -> tuple[Mailbox, list[bool]]:
    wakes: list[bool] = []
    return Mailbox(lambda: wakes.append(True)), wakes


def test_control_goes_before_data_before_status_before_logs() -> None:
    box, _ = mailbox()
    outbox = Outbox("c1", box.mark)
    status = Status(msgspec.Raw(b"{}"))
    box.log(Log("text"))
    box.status(status)
    outbox.delta("a")
    box.post(Heartbeat())
    assert box.take() == [Heartbeat(), Events("c1", 1, [Delta("a")]), status, Log("text")]
    assert box.empty


def test_one_wake_up_is_enough_for_many_messages() -> None:
    box, wakes = mailbox()
    outbox = Outbox("c1", box.mark)
    for _ in range(1000):
        outbox.delta("a")
    box.post(Heartbeat())
    assert len(wakes) == 1
    box.take()
    outbox.delta("b")
    assert len(wakes) == 2


def test_a_later_status_replaces_one_that_waits() -> None:
    box, _ = mailbox()
    box.status(Status(msgspec.Raw(b"1")))
    box.status(Status(msgspec.Raw(b"2")))
    assert box.take() == [Status(msgspec.Raw(b"2"))]


def test_too_many_logs_are_dropped_and_counted() -> None:
    box, _ = mailbox()
    taken = [box.log(Log(str(index))) for index in range(MAX_LOGS + 3)]
    assert taken.count(False) == 3
    logs = [message for message in box.take() if isinstance(message, Log)]
    assert len(logs) == MAX_LOGS + 1
    assert logs[-1] == Log("3 log entries were dropped", level="warning")
    assert box.log(Log("again"))


def test_a_new_connection_forgets_old_control_messages_but_no_logs() -> None:
    box, wakes = mailbox()
    box.post(Ready(1, 1))
    box.log(Log("kept"))
    box.restart()
    assert box.take() == [Log("kept")]
    box.post(Ready(1, 1))
    assert len(wakes) == 2
