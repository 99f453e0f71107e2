"""The table of running commands and the slots for long ones."""

from __future__ import annotations

import threading

from codeproject_ai_sdk import RequestData
from codeproject_ai_sdk.builtin_commands import cancel_command, command_status
from codeproject_ai_sdk.long_commands import CommandTable, LongSlots, RunningCommand, Stage


def command(command_id: str, long: bool = True) -> RunningCommand:
    data = RequestData()
    data.request_id = command_id
    made = RunningCommand(data)
    if long:
        made.process = lambda data: None
    return made


def asking_for(command_id: str) -> RequestData:
    data = RequestData()
    data.add_value("commandId", command_id)
    return data


def test_a_command_ends_once() -> None:
    one = command("a")
    assert one.end({"success": True}) is Stage.WAITING
    assert one.end({"success": False}) is None
    assert one.answer == {"success": True}
    assert not one.advance(Stage.WAITING, Stage.RUNNING)


def test_an_id_is_taken_until_its_command_is_removed() -> None:
    table, one = CommandTable(0), command("a")
    assert table.add(one)
    assert not table.add(command("a"))
    assert table.live() == [one]
    table.remove(one)
    assert table.find("a") is None
    assert table.add(command("a"))


def test_the_last_finished_long_commands_stay_readable() -> None:
    table = CommandTable(2)
    for name in "abc":
        one = command(name)
        table.add(one)
        one.end({"success": True, "reply": name})
        table.remove(one)
    quick = command("q", long=False)
    table.add(quick)
    table.remove(quick)
    assert [table.find(name) is not None for name in "abcq"] == [False, True, True, False]
    assert command_status(asking_for("c"), table)["reply"] == "c"
    assert command_status(asking_for("a"), table)["commandStatus"] == "unknown"


def test_a_running_command_shows_its_text_and_fields() -> None:
    table, one = CommandTable(1), command("a")
    table.add(one)
    one.data.reply.write("so far")
    one.data.reply.update(step=3)
    assert command_status(asking_for("a"), table) == {
        "success": True,
        "commandId": "a",
        "commandStatus": "running",
        "message": "The long running command is still in progress",
        "reply": "so far",
        "step": 3,
    }


def test_a_finished_command_may_be_cancelled_and_stays_readable() -> None:
    table, one = CommandTable(1), command("a")
    table.add(one)
    one.end({"success": True, "reply": "whole"})
    table.remove(one)
    assert cancel_command(asking_for("a"), table, lambda _: False)["commandStatus"] == "cancelled"
    assert command_status(asking_for("a"), table)["reply"] == "whole"


def test_slots_run_so_many_and_the_rest_in_order() -> None:
    order: list[str] = []
    news = threading.Condition()
    go = {name: threading.Event() for name in "abcd"}

    def run(one: RunningCommand) -> None:
        with news:
            order.append(one.data.command_id)
            news.notify_all()
        go[one.data.command_id].wait(60)
        slots.release()

    slots = LongSlots(2, run)
    commands = {name: command(name) for name in "abcd"}
    for one in commands.values():
        one.advance(Stage.WAITING, Stage.LONG_WAITING)
        slots.submit(one)
    with news:
        assert news.wait_for(lambda: len(order) == 2, 60)
    assert sorted(order) == ["a", "b"]
    commands["c"].end({"success": False})  # cancelled while it waits: it must not take a slot
    go["a"].set()
    with news:
        assert news.wait_for(lambda: len(order) == 3, 60)
    assert order[2] == "d"
    for event in go.values():
        event.set()
