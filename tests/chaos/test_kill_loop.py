"""The kill loop, short: see ``kill_loop.py`` for the long one, which is run by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import kill_loop
from tests.support.chaos_follower import Follower


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_is_lost_repeated_mixed_up_or_left_without_an_end(tmp_path: Path) -> None:
    rows, faults = await kill_loop.run(tmp_path, iterations=6, seed=3)
    assert faults == []
    assert not kill_loop.failed(rows), kill_loop.table(rows)
    assert rows["accepted"] > 0
    assert rows["ended: completed"] > 0
    assert rows["events received"] > 6 * kill_loop.FLOWING


def seen(*events: tuple[int, str, str]) -> Follower:
    follower = Follower("a:", 4)
    for seq, kind, text in events:
        follower.take(seq, kind, {"text": text} if kind == "delta" else {})
    return follower


BEGIN = ((1, "queued", ""), (2, "started", ""))


@pytest.mark.parametrize(
    ("events", "lost", "duplicated", "foreign"),
    [
        ([(3, "delta", "a:1 a:2 "), (4, "delta", "a:3 a:4 "), (5, "result", "")], 0, 0, 0),
        ([(3, "delta", "a:1 a:2 "), (4, "error", "")], 0, 0, 0),
        ([(3, "delta", "a:1 "), (4, "started", ""), (5, "delta", "a:1 a:2 a:3 a:4 "), (6, "result", "")], 0, 0, 0),
        ([(3, "delta", "a:1 "), (6, "delta", "a:2 ")], 2, 0, 0),
        ([(3, "delta", "a:1 "), (4, "delta", "a:3 ")], 1, 0, 0),
        ([(3, "delta", "a:1 a:2 "), (4, "result", "")], 1, 0, 0),
        ([(3, "delta", "a:1 "), (3, "delta", "a:1 ")], 0, 1, 0),
        ([(3, "delta", "a:1 "), (4, "delta", "a:1 ")], 0, 1, 0),
        ([(3, "delta", "a:1 "), (4, "delta", "b:1 a:2 ")], 0, 0, 1),
    ],
)
def test_the_judge_sees_every_fault(
    events: list[tuple[int, str, str]], lost: int, duplicated: int, foreign: int
) -> None:
    follower = seen(*BEGIN, *events)
    assert (follower.lost, follower.duplicated, follower.foreign) == (lost, duplicated, foreign)
    assert bool(follower.faults) == bool(lost or duplicated or foreign)


def test_the_judge_sees_events_that_have_changed() -> None:
    follower = seen(*BEGIN, (3, "delta", "a:1 "))
    kept = [{"seq": 1, "event": "queued", "data": {}}, {"seq": 2, "event": "started", "data": {}}]
    follower.compare([*kept, {"seq": 3, "event": "delta", "data": {"text": "a:1 "}}])
    assert follower.lost == 0
    follower.compare([*kept, {"seq": 3, "event": "delta", "data": {"text": "a:1 a:2 "}}])
    assert follower.lost == 1
