from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.budgets import BUDGETS, Budget, Measure
from benchmarks.figures import Spread, paired_differences, paired_ratios, percentile
from benchmarks.options import Options, interleaved
from benchmarks.report import json_lines, markdown, table
from benchmarks.rows import Row, make_row, overall


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)])
def test_percentiles_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_rounds_are_compared_pair_by_pair() -> None:
    assert paired_ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert paired_differences([2.0, 9.0], [1.0, 3.0]) == [1.0, 6.0]


def test_nothing_measured_is_an_error() -> None:
    for fails in (lambda: Spread.of([]), lambda: percentile([], 0.5), lambda: paired_ratios([1.0], [])):
        with pytest.raises(ValueError, match=r"measured|paired"):
            fails()


def test_the_ratio_is_that_of_the_pairs_not_of_the_medians() -> None:
    row = make_row("x", "ms", [1.0, 10.0, 100.0], "peer", [2.0, 10.0, 25.0])
    assert (row.value, row.peer_value, row.ratio, row.ratio_low, row.ratio_high) == (10.0, 10.0, 1.0, 0.5, 4.0)
    assert (row.low, row.high, row.rounds, row.difference) == (1.0, 100.0, 3, 0.0)


@pytest.mark.parametrize(
    ("budget", "kept", "broken"),
    [(Budget(Measure.RATIO, 0.5, at_least=True), 0.5, 0.49), (Budget(Measure.VALUE, 80), 80.0, 80.1)],
)
def test_a_budget_holds_up_to_its_limit(budget: Budget, kept: float, broken: float) -> None:
    assert budget.holds(kept)
    assert not budget.holds(broken)


def test_a_row_is_judged_by_what_its_budget_limits() -> None:
    assert make_row("dispatch/ours/rate-32", "1/s", [6.0], "p", [10.0]).ok is True
    assert make_row("dispatch/ours/rate-32", "1/s", [4.0], "p", [10.0]).ok is False
    assert make_row("upload/20-MiB", "ms", [90.0], "p", [45.0]).ok is True
    assert make_row("upload/20-MiB", "ms", [90.0], "p", [35.0]).ok is False
    assert make_row("relay/fan-out-100", "1/s", [49_999.0], "p", [1.0]).ok is False
    assert make_row("dispatch/ours/p50-32", "ms", [1.0], "p", [1.0]).ok is None


def test_the_table_has_the_budgets_of_the_design() -> None:
    limits = {name: str(budget) for name, budget in BUDGETS.items()}
    assert limits == {
        "dispatch/ours/rate-32": "ratio >= 0.5",
        "dispatch/ours/p50-1": "ratio <= 4",
        "dispatch/ours/rate-32/litserve": "ratio >= 5",
        "dispatch/published/rate-32/litserve": "ratio >= 1.5",
        "relay/delay-p99": "difference <= 5",
        "relay/fan-out-100": "value >= 50000",
        "relay/fan-out-1000": "value >= 50000",
        "upload/20-MiB": "difference <= 50",
        "start/ping": "value <= 1",
        "start/idle-memory": "value <= 80",
        "start/idle-cpu": "value <= 1",
        "llama/one-stream/greedy": "ratio >= 0.95",
        "llama/one-stream/sampled": "ratio >= 0.95",
        "llama/8-chats/rate": "ratio >= 1",
        "llama/8-chats/first-p50": "ratio <= 1",
        "llama/second-turn/prompt-work": "ratio <= 1",
        "llama/long-prompt/first": "ratio <= 1.3",
        "llama/long-prompt/longest-gap/chunk": "ratio <= 1.5",
    }


def rows() -> list[Row]:
    return [
        make_row("start/ping", "s", [0.5, 0.6, 0.7], "bare", [0.2, 0.2, 0.2]),
        make_row("start/idle-memory", "MiB", [81.0], "bare", [40.0]),
    ]


def test_the_last_json_line_stands_for_the_benchmark() -> None:
    lines = [json.loads(line) for line in json_lines("start", rows())]
    assert [line["name"] for line in lines] == ["start/ping", "start/idle-memory", "start"]
    assert [line["ok"] for line in lines] == [True, False, False]
    assert {"name", "value", "peer", "ratio", "budget", "ok", "unit"} <= lines[-1].keys()
    assert lines[-1]["budget"] == "value <= 1"


def test_rows_without_a_budget_break_none() -> None:
    assert overall("x", [make_row("x/y", "s", [1.0], "p", [1.0])]).ok is True


def test_the_table_says_what_is_not_met() -> None:
    lines = table(rows()).splitlines()
    assert lines[1].endswith("ok")
    assert lines[2].endswith("NOT MET")
    assert "0.6 (0.5 .. 0.7)" in lines[1]


def test_the_markdown_table_is_that_of_the_documents() -> None:
    lines = markdown([*rows(), make_row("x/y", "s", [1.0], "p", [2.0])]).splitlines()
    assert lines[2] == "| `ping` | 0.6 (0.5 … 0.7) | s | bare | 0.2 | 3 (2.5 … 3.5) | value ≤ 1 | kept |"
    assert lines[3].endswith("| value ≤ 80 | **not met** |")
    assert lines[4].endswith("| 0.5 (0.5 … 0.5) |  |  |")


def test_peers_take_turns_in_both_orders(tmp_path: Path) -> None:
    options = Options(rounds=3, seconds=1, cache=tmp_path)
    assert list(interleaved(options, ["a", "b"])) == ["a", "b", "b", "a", "a", "b"]
