"""Who runs and who waits, and one chat from its first token to its last."""

from __future__ import annotations

import threading

import pytest
from llamachat.engine.errors import EngineStoppedError
from llamachat.engine.request import Delta, Finish, Generation, Request
from llamachat.engine.roster import Roster
from llamachat.engine.sequences import Sequence
from llamachat.engine.slot import Slot


def chat(prompt: int = 10, max_tokens: int = 10, stop: tuple[str, ...] = ()) -> Slot:
    return Slot(Generation(Request(range(prompt), stop=stop)), max_tokens)


def added(roster: Roster, *slots: Slot) -> None:
    for slot in slots:
        roster.add(slot)


def admitted(roster: Roster) -> list[Slot]:
    slots = []
    while (slot := roster.admit_next()) is not None:
        slots.append(slot)
    return slots


def test_chats_are_admitted_in_order_up_to_the_slots() -> None:
    roster = Roster(slots=2)
    first, second, third = chat(), chat(), chat()
    added(roster, first, second, third)
    assert admitted(roster) == [first, second]
    assert (roster.running, roster.waiting_count) == ([first, second], 1)
    roster.remove(first)
    assert admitted(roster) == [third]


def test_a_stopped_roster_takes_nobody_and_keeps_its_first_reason() -> None:
    roster = Roster(slots=1)
    roster.stop("broken")
    roster.stop("closed")
    with pytest.raises(EngineStoppedError, match="broken"):
        roster.add(chat())
    assert not roster.wait_for_work(lambda: None)


def test_waiting_for_work_ends_with_the_first_chat() -> None:
    roster, idle, answers = Roster(slots=1), threading.Event(), []
    thread = threading.Thread(target=lambda: answers.append(roster.wait_for_work(idle.set)))
    thread.start()
    assert idle.wait(10)
    roster.add(chat())
    thread.join(10)
    assert answers == [True]


class Looks(threading.Condition):
    """Counts the waits; each ends because its time is over."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "somebody may cancel"
        self.waits += 1
        return False


def test_while_chats_wait_for_the_disk_there_is_only_a_look_now_and_then() -> None:
    roster = Roster(slots=1)
    added(roster, chat(), chat())
    [waiting] = admitted(roster)
    roster._changed = looks = Looks()
    assert roster.wait_for_work(lambda: pytest.fail("somebody is there"))
    assert looks.waits == 1
    roster.wake()
    assert roster.wait_for_work(lambda: None)
    assert looks.waits == 1, "something has arrived"
    waiting.place(Sequence(0))
    assert roster.wait_for_work(lambda: None)
    assert looks.waits == 1, "it has a place in the context now, so there is a step to do"


def test_a_chat_from_its_prompt_to_its_end() -> None:
    now = [5.0]
    generation = Generation(Request([1, 2, 3]))
    slot = Slot(generation, 3, clock=lambda: now[0])
    slot.place(Sequence(4, tokens=[1]))
    assert (slot.sequence_id, slot.decoded, slot.pending, list(slot.next_tokens(5))) == (4, 1, 2, [2, 3])
    slot.note_decoded(2)
    assert slot.take(7, b"a", is_end=False) is None
    assert (slot.pending, slot.generated) == (1, 1)
    now[0] = 5.25
    finish = slot.take(8, b"", is_end=True)
    assert finish == Finish("completed", 3, 1, cached_tokens=1, inference_ms=250)
    generation.put(finish)
    assert list(generation) == [Delta("a", 1), finish]


def test_a_chat_that_lost_its_place_has_everything_to_do_again_and_goes_on() -> None:
    slot = chat(prompt=3, max_tokens=2)
    slot.place(Sequence(0))
    slot.note_decoded(3)
    slot.take(7, b"a", is_end=False)
    slot.sequence = None
    slot.place(Sequence(1))
    assert (slot.pending, slot.generated) == (4, 1)
    finish = slot.take(8, b"b", is_end=False)
    assert finish is not None
    assert (finish.reason, finish.completion_tokens) == ("length", 2)


def test_a_chat_that_never_ran_took_no_time() -> None:
    assert chat().finish("cancelled").inference_ms == 0


def test_a_reader_who_stops_reading_cancels() -> None:
    generation = Generation(Request([1]))
    generation.put(Delta("a", 1))
    events = iter(generation)
    next(events)
    assert not generation.cancelled
    del events
    assert generation.cancelled


def test_a_failed_chat_raises_its_reason() -> None:
    generation = Generation(Request([1]))
    generation.put(EngineStoppedError("broken"))
    with pytest.raises(EngineStoppedError, match="broken"):
        list(generation)
