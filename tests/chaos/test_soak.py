"""The soak, short: see ``soak.py`` for the long one, which is run by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import soak
from tests.support.soak_figures import ALLOWED, Figures, percentile, quarters, slope


@pytest.mark.slow
async def test_everything_that_clients_do_all_day_goes_well_at_the_same_time(tmp_path: Path) -> None:
    table, faults = await soak.run(tmp_path, minutes=0.3, seed=5, every=1)
    assert [fault for fault in faults if "has grown" not in fault] == []  # nothing can be said of growth so soon
    for what in (*ALLOWED, "chats", "polls", "quick commands", "uploads", "lists", "times a follower left"):
        assert f"| {what}" in table


def figures(disk: list[float]) -> Figures:
    found = Figures()
    for number, value in enumerate(disk):
        found.add(number * 60, {**dict.fromkeys(ALLOWED, 50.0), "disk": value})
    return found


def test_what_grows_is_seen_and_what_goes_up_and_down_is_not() -> None:
    assert figures([10.0 + 5 * (number % 2) for number in range(60)]).grown(600) == []
    (told,) = figures([10.0 + number for number in range(60)]).grown(600)
    assert told.startswith("disk has grown from")
    assert figures([200.0] * 10 + [10.0] * 50).grown(600) == []
    assert figures([0.0] * 10 + [100.0] * 50).grown(600) == []


def test_the_figures_are_right() -> None:
    assert slope([0, 60, 120], [1, 2, 3]) == pytest.approx(60)
    assert slope([0], [1]) == 0
    assert quarters([1, 1, 5, 9, 9, 9, 9, 2]) == (1, 5.5)
    assert percentile([1, 2, 3, 4], 0.5) == 3
    assert percentile([], 0.5) == 0
